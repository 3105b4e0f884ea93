/** `agent edge`: workerd as a child that starts quietly, is there when it says so, and never stays behind. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { inheritedSocket } from "../../agent/edge-here/inherited-socket.ts";
import { certificate } from "../support/certificate.ts";
import { alive, descendants } from "../support/memory.ts";
import { Program, type ProgramOptions } from "../support/program.ts";
import { poll } from "../support/until.ts";

const START_MS = 30_000;
let directory = "";
const started: Program[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-unit-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(async () => {
  await Promise.all(started.splice(0).map((program) => program.stop()));
});

function edge(parameters: readonly string[], options?: ProgramOptions): Program {
  const program = Program.agent(["edge", "--json", ...parameters], options);
  started.push(program);
  return program;
}

async function urlOf(program: Program): Promise<string> {
  return String((await program.event("listening", undefined, 0, START_MS))["url"]);
}

function workerdOf(program: Program): number {
  const found = descendants(program.pid).find(({ name }) => name.startsWith("workerd"));
  if (found === undefined) throw new Error("no workerd");
  return found.pid;
}

test("when it says that it listens it answers, and SIGTERM ends it and workerd with exit code 0", async () => {
  const program = edge(["--port", "0"]);
  const url = await urlOf(program);
  const answer = await fetch(`${url}/send/nobody/`);
  expect(answer.status).toBe(503);
  expect(answer.headers.get("sluice-error")).toBe("agent-offline");
  const pid = workerdOf(program);
  program.kill("SIGTERM");
  expect(await program.exit()).toEqual({ code: 0, signal: null });
  expect(alive(pid)).toBe(false);
});

test("what bundled the Worker is gone when it listens", async () => {
  const program = edge(["--port", "0"]);
  await urlOf(program);
  const left = (): string[] => descendants(program.pid).map(({ name }) => name);
  expect(left().some((name) => name.startsWith("workerd"))).toBe(true);
  await poll(() => !left().some((name) => name.startsWith("esbuild")), "the end of esbuild");
});

test("without a secret it makes one, keeps it for its owner only, and finds it again", async () => {
  const data = join(directory, "data");
  const first = edge(["--port", "0", "--data", data]);
  await urlOf(first);
  const file = join(data, "secret");
  expect(first.stderr).toContain(`made a secret: ${file}`);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const made = await readFile(file, "utf8");
  expect(made).toMatch(/^[0-9a-f]{64}\n$/);
  expect(first.stderr).not.toContain(made.trim());
  await first.stop();
  const second = edge(["--port", "0", "--data", data]);
  await urlOf(second);
  expect(await readFile(file, "utf8")).toBe(made);
  expect(second.stderr).not.toContain("made a secret");
});

test("a system without CA certificates is enough, as Node's slim image is", async () => {
  const nowhere = join(directory, "no-certificates");
  const program = edge(["--port", "0"], {
    env: { SSL_CERT_FILE: nowhere, SSL_CERT_DIR: nowhere },
  });
  const answer = await fetch(`${await urlOf(program)}/send/nobody/`);
  expect(answer.headers.get("sluice-error")).toBe("agent-offline");
});

test("a secret that was made for one run is gone after it", async () => {
  const program = edge(["--port", "0"]);
  await urlOf(program);
  const file = /made a secret: (\S+)/.exec(program.stderr)?.[1] ?? "";
  expect(existsSync(file)).toBe(true);
  await program.stop();
  expect(existsSync(file)).toBe(false);
});

test("agents that come and go are told to the person who runs it", async () => {
  const secret = { env: { TUNNEL_SECRET: "s".repeat(32) } };
  const program = edge(["--port", "0"], secret);
  const url = await urlOf(program);
  const made = Program.agent(["token", "--service", "shop"], secret);
  started.push(made);
  const [token] = await made.line(/^ey\S+$/);
  const flags = ["connect", "--edge", url, "--service", "shop", "--port", "9", "--json"];
  const agent = Program.agent(flags, { env: { AGENT_TOKEN: token } });
  started.push(agent);
  await program.said(/^shop: an agent connected \(sluice-agent\/.+\)$/m);
  agent.kill("SIGTERM");
  await program.said(/^shop: an agent is gone \(shutting-down\)$/m);
  expect(program.events.map(({ event }) => event)).toEqual(["listening"]);
});

test("--visitors token asks visitors for one, and --domain makes services hosts", async () => {
  const flags = ["--port", "0", "--visitors", "token", "--domain", "localhost"];
  const url = await urlOf(edge(flags, { env: { TUNNEL_SECRET: "s".repeat(32) } }));
  expect((await fetch(`${url}/send/shop/`)).status).toBe(401);
  const { port } = new URL(url);
  // Not fetch: not every system resolves names below localhost.
  const asked = get({ port, host: "127.0.0.1", headers: { host: `shop.localhost:${port}` } });
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  expect(answer.statusCode).toBe(401);
  answer.resume();
});

test("workerd does not outlive an agent that is killed", async () => {
  const program = edge(["--port", "0"]);
  await urlOf(program);
  const pid = workerdOf(program);
  program.kill("SIGKILL");
  await program.exit();
  await poll(() => !alive(pid), "workerd's end");
});

test("when workerd dies it is exit code 1", async () => {
  const program = edge(["--port", "0"]);
  await urlOf(program);
  process.kill(workerdOf(program), "SIGKILL");
  expect(await program.exit()).toMatchObject({ code: 1 });
  expect(program.events.at(-1)).toMatchObject({ event: "error", code: "failed" });
});

test("a port that another program has is exit code 1, and a sentence with a way out", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const address = other.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const program = edge(["--port", String(address.port)]);
  expect(await program.exit(START_MS)).toMatchObject({ code: 1 });
  expect(program.stderr).toContain(`Port ${address.port} of 127.0.0.1 is taken`);
  expect(program.stderr).toContain("--port");
  other.close();
});

test.each([
  ["127.0.0.1", "on this machine"],
  ["0.0.0.0", "who reaches this machine"],
])("on %s it says that everybody %s reaches its services", async (host, whose) => {
  const program = edge(["--port", "0", "--host", host]);
  await program.said(new RegExp(`Everybody ${whose} reaches them`), START_MS);
});

test("a key that is not the certificate's is exit code 2, a sentence, and no word of the key", async () => {
  const [mine, other] = [certificate(), certificate()];
  const files = { cert: join(directory, "cert.pem"), key: join(directory, "key.pem") };
  await writeFile(files.cert, mine.cert);
  await writeFile(files.key, other.key);
  const program = edge(["--port", "0", "--tls-cert", files.cert, "--tls-key", files.key]);
  expect(await program.exit(START_MS)).toMatchObject({ code: 2 });
  expect(program.stderr).toContain("is not that of the certificate in");
  await writeFile(files.key, "secret stuff");
  const worse = edge(["--port", "0", "--tls-cert", files.cert, "--tls-key", files.key]);
  expect(await worse.exit(START_MS)).toMatchObject({ code: 2 });
  expect(worse.stderr).toContain(`The file "${files.key}" (--tls-key) is no private key`);
  expect(worse.stderr).not.toContain("secret stuff");
});

test("a data directory that it makes is its owner's only", async () => {
  const data = join(directory, "private");
  await urlOf(edge(["--port", "0", "--data", data]));
  expect((await stat(data)).mode & 0o777).toBe(0o700);
});

test.each([
  ["none is handed over", {}, undefined],
  ["one is", { LISTEN_FDS: "1", LISTEN_PID: "7" }, 3],
  ["it is another process's", { LISTEN_FDS: "1", LISTEN_PID: "8" }, undefined],
])("a listening socket is taken when one is handed over: %s", (_, environment, descriptor) => {
  expect(inheritedSocket(environment, 7)).toBe(descriptor);
});

test("several listening sockets are refused", () => {
  expect(() => inheritedSocket({ LISTEN_FDS: "2", LISTEN_PID: "7" }, 7)).toThrow("2 sockets");
});
