/**
 * The commands of docs/self-hosting.md, in their order, on a machine that must stay as it is: files are in a folder of the
 * test's own, the units' commands run without systemd, and what cannot be run is listed with the reason.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { certificate } from "../support/certificate.ts";
import { Origin } from "../support/origin.ts";
import { node, Program, root } from "../support/program.ts";
import { Visitor } from "../support/raw-http.ts";
import { fencesOf, read } from "./markdown.ts";

const START_MS = 60_000;

/** What begins like this is not run, because it would change the machine, or wants one that there is not. */
const notRun: Readonly<Record<string, string>> = {
  "apt-get": "installs packages",
  "git clone": "wants the address of a repository",
  "cd /opt/sluice && npm ci": "CI has just done that",
  "cd /opt/sluice && git pull": "changes the checkout",
  "cp /opt/sluice/deploy/systemd": "test/e2e/units-and-images.test.ts runs the units",
  "cp /opt/sluice/deploy/nginx": "test/e2e/behind-proxies.test.ts runs it",
  systemctl: "there is no systemd",
  certbot: "wants a public name",
  "nginx -t": "test/e2e/behind-proxies.test.ts runs it",
  docker: "there is no Docker daemon",
  "install -o": "wants to be root",
  chown: "wants to be root",
};

const directory = mkdtempSync(join(tmpdir(), "sluice-test-"));
const started: Program[] = [];
let shop: Origin | undefined;

afterAll(async () => {
  await Promise.all(started.map((program) => program.stop()));
  await shop?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const commands = fencesOf(read("docs/self-hosting.md"))
  .filter(({ language }) => language === "sh")
  .flatMap(({ text }) => text.trim().split("\n"));
const skipped = (command: string): boolean =>
  Object.keys(notRun).some((beginning) => command.startsWith(beginning));
const left = commands.filter((command) => !skipped(command));

/** The next command that is run; it has to begin like this. */
function next(beginning: string): string {
  const command = left.shift() ?? "";
  expect(command.slice(0, beginning.length)).toBe(beginning);
  return command
    .replaceAll("/etc/sluice", join(directory, "etc"))
    .replaceAll("/opt/sluice", root)
    .replace(`cd ${root} && `, "");
}

/** As a shell runs it, with files of its own and `agent` for `npx agent`. */
function shell(command: string): string {
  const agent = `${node} ${join(root, "bin/agent.js")}`;
  return execFileSync("bash", ["-c", command.replaceAll("npx agent", agent)], {
    cwd: directory,
    encoding: "utf8",
  });
}

/** The parameters of an `agent` command, with places and names of this test. */
function agentOf(command: string, places: Readonly<Record<string, string>>): Program {
  let [, , ...words] = command.split(" ");
  words = words.map((word) => places[word] ?? word);
  const program = Program.agent([...words, "--json"]);
  started.push(program);
  return program;
}

/** What a unit starts. */
async function startOf(unit: string, credentials: string): Promise<string[]> {
  const text = await readFile(join(root, "deploy/systemd", unit), "utf8");
  const line = /^ExecStart=\S+ (.*)$/m.exec(text)?.[1] ?? "";
  return line
    .replaceAll("/opt/sluice/", root)
    .replaceAll("%d", credentials)
    .replaceAll("%i", "shop")
    .split(" ");
}

test("nothing is left out without a reason, and no reason is left over", () => {
  for (const beginning of Object.keys(notRun)) {
    expect(
      commands.some((command) => command.startsWith(beginning)),
      beginning,
    ).toBe(true);
  }
});

test(
  "the commands of docs/self-hosting.md lead where it says",
  async () => {
    const etc = join(directory, "etc");
    shell(next("install -d -m 700 /etc/sluice"));
    shell(next("(umask 077 && openssl rand"));
    expect(statSync(etc).mode & 0o777).toBe(0o700);
    expect(statSync(join(etc, "tunnel.secret")).mode & 0o777).toBe(0o600);

    const holder = join(root, "test/support/hold-socket.ts");
    const words = await startOf("sluice-edge.service", etc);
    const edge = Program.start(node, [holder, node, ...words], { env: { AGENT_JSON: "1" } });
    started.push(edge);
    const url = String((await edge.event("listening", undefined, 0, START_MS))["url"]);
    const { port, host } = new URL(url);
    const answer = shell(next("curl -i").replace("8787", port));
    expect(answer).toMatch(/^HTTP\/1\.1 404/);
    expect(answer).toMatch(/^sluice-error: no-route/im);

    shell(next("cd /opt/sluice && npx agent token"));
    shop = await Origin.start();
    const places = {
      "4000": String(shop.port),
      "https://tunnel.example.com": url,
      "shop.token": join(directory, "shop.token"),
    };
    const agent = agentOf(next("npx agent connect"), places);
    await agent.event("connected", undefined, 0, START_MS);
    const place = { port: Number(port), host, prefix: "/send/shop" };
    expect((await Visitor.ask(place)).body.toString()).toBe("GET /\n");
    await agent.stop();

    for (const beginning of ["install -d", "install -m 600", "printf"]) shell(next(beginning));
    const agents = join(etc, "agents");
    const settings = await readFile(join(agents, "shop.env"), "utf8");
    const environment = Object.fromEntries(
      settings
        .trim()
        .split("\n")
        .map((line) => line.split("=", 2)),
    ) as Record<string, string>;
    expect(Object.keys(environment)).toEqual(["AGENT_EDGE", "AGENT_PORT"]);
    shell(`cp ${join(agents, "shop.token")} ${join(agents, "token")}`);
    const asService = Program.start(node, await startOf("sluice-agent@.service", agents), {
      env: { AGENT_JSON: "1", AGENT_EDGE: url, AGENT_PORT: String(shop.port) },
    });
    started.push(asService);
    await asService.event("connected", undefined, 0, START_MS);
    expect((await Visitor.ask(place)).status).toBe(200);

    const made = certificate();
    writeFileSync(join(directory, "fullchain.pem"), made.cert);
    writeFileSync(join(directory, "privkey.pem"), made.key);
    writeFileSync(join(directory, "tunnel.secret"), await readFile(join(etc, "tunnel.secret")));
    const here = {
      ...Object.fromEntries(
        ["tunnel.secret", "previous.secret", "fullchain.pem", "privkey.pem"].map((name) => [
          name,
          join(directory, name),
        ]),
      ),
      "443": "0",
      "0.0.0.0": "127.0.0.1",
    };
    const secure = agentOf(next("npx agent edge --host 0.0.0.0"), here);
    expect((await secure.event("listening", undefined, 0, START_MS))["url"]).toMatch(/^https:/);

    shell(next("cp tunnel.secret previous.secret"));
    shell(next("openssl rand"));
    expect(existsSync(join(directory, "previous.secret"))).toBe(true);
    const rotated = agentOf(`${next("npx agent edge --secret-file")} --port 0`, here);
    await rotated.event("listening", undefined, 0, START_MS);
    expect(left).toEqual([]);
  },
  2 * START_MS,
);
