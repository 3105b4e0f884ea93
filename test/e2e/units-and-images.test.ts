/**
 * The systemd units and Dockerfiles of `deploy/`: neither systemd nor Docker runs where the tests do, so what they say is
 * checked, and the commands that they name are run.
 */
import { execFile, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { durationMs } from "../../agent/config/duration.ts";
import { Origin } from "../support/origin.ts";
import { node, Program, root } from "../support/program.ts";
import { Visitor } from "../support/raw-http.ts";
import { Edge } from "../support/tunnel.ts";

const run = promisify(execFile);
const START_MS = 30_000;
let directory = "";
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A unit's text as of an installation here, with its instance and the folder of its credentials. */
async function unit(name: string): Promise<string> {
  const text = await readFile(join(root, "deploy/systemd", name), "utf8");
  return text.replaceAll("/opt/sluice/", root).replaceAll("%d", directory).replaceAll("%i", "shop");
}

function setting(text: string, name: string): string {
  const found = new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1];
  if (found === undefined) throw new Error(`the unit has no ${name}`);
  return found;
}

/** The words of a command that begins with our Node. */
function wordsOf(text: string): string[] {
  const [program, ...words] = setting(text, "ExecStart").split(" ");
  expect(program).toBe(join(root, "node_modules/.bin/node"));
  return words;
}

describe("the systemd units", () => {
  const analyze = spawnSync("systemd-analyze", ["--version"]).error === undefined;
  if (!analyze) process.stderr.write("skipped: there is no systemd-analyze here\n");

  test.runIf(analyze)("have no setting that systemd does not know", async () => {
    const folder = await mkdtemp(join(directory, "units-"));
    for (const name of await readdir(join(root, "deploy/systemd"))) {
      const text = await readFile(join(root, "deploy/systemd", name), "utf8");
      await writeFile(join(folder, name), text.replaceAll("/opt/sluice/", root));
    }
    await symlink("sluice-agent@.service", join(folder, "sluice-agent@shop.service"));
    const names = ["sluice-edge.socket", "sluice-edge.service", "sluice-agent@shop.service"];
    const files = names.map((name) => join(folder, name));
    const { stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", ...files]);
    expect(stdout + stderr).toBe("");
  });

  test.each([
    ["sluice-edge.service", "--drain"],
    ["sluice-agent@.service", "--grace"],
  ])("%s leaves more time to end than %s takes", async (name, flag) => {
    const text = await unit(name);
    const words = wordsOf(text);
    const takesMs = durationMs(words[words.indexOf(flag) + 1] ?? "") ?? Number.NaN;
    expect(Number(setting(text, "TimeoutStopSec")) * 1000).toBeGreaterThan(takesMs + 5000);
    // Otherwise workerd gets the signal beside its parent, and agents are not told.
    expect(setting(text, "KillMode")).toBe("mixed");
  });

  test("start what crashes again without an end, and have an end for a configuration that is wrong", async () => {
    const text = await unit("sluice-edge.service");
    const seconds = (name: string): number => Number(setting(text, name));
    const starts = seconds("StartLimitBurst");
    expect(seconds("RestartSec") * starts).toBeGreaterThan(seconds("StartLimitIntervalSec"));
    // As long as a start on a busy machine may take, from which the next visitor's knock begins another.
    expect(seconds("StartLimitIntervalSec")).toBeGreaterThan(1.5 * starts);
    expect(setting(await unit("sluice-agent@.service"), "StartLimitIntervalSec")).toBe("0");
  });

  test(
    "start an edge on the socket and an agent that serve a visitor",
    async () => {
      const shop = await Origin.start();
      cleanups.push(() => shop.stop());
      const secret = randomBytes(32).toString("hex");
      await writeFile(join(directory, "tunnel.secret"), secret);
      const holder = join(root, "test/support/hold-socket.ts");
      const edgeWords = wordsOf(await unit("sluice-edge.service"));
      const edge = Program.start(node, [holder, node, ...edgeWords], { env: { AGENT_JSON: "1" } });
      cleanups.push(() => edge.stop());
      const url = String((await edge.event("listening", undefined, 0, START_MS))["url"]);

      const made = Program.agent(["token", "--service", "shop"], {
        env: { TUNNEL_SECRET: secret },
      });
      const [token] = await made.line(/^\S+$/, START_MS);
      await writeFile(join(directory, "token"), token);
      const agent = Program.start(node, wordsOf(await unit("sluice-agent@.service")), {
        env: { AGENT_JSON: "1", AGENT_EDGE: url, AGENT_PORT: String(shop.port) },
      });
      cleanups.push(() => agent.stop());
      await agent.event("connected", undefined, 0, START_MS);
      const { port, host } = new URL(url);
      const answer = await Visitor.ask({ port: Number(port), host, prefix: "/send/shop" });
      expect([answer.status, answer.body.toString()]).toEqual([200, "GET /\n"]);
    },
    2 * START_MS,
  );
});

describe("the Dockerfiles", () => {
  const files = ["edge.Dockerfile", "agent.Dockerfile"];

  async function instructions(name: string): Promise<Map<string, string[]>> {
    const text = await readFile(join(root, "deploy/docker", name), "utf8");
    const found = new Map<string, string[]>();
    for (const [, word = "", rest = ""] of text.matchAll(/^([A-Z]+) (.*)$/gm)) {
      found.set(word, [...(found.get(word) ?? []), rest]);
    }
    return found;
  }

  test.each(files)("%s runs as a numbered user, on the Node of this project", async (name) => {
    const found = await instructions(name);
    const { devDependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
      devDependencies: Record<string, string>;
    };
    const major = devDependencies["node"]?.split(".")[0];
    expect(found.get("FROM")).toEqual([`node:${major}-slim AS build`, `node:${major}-slim`]);
    expect(found.get("USER")).toEqual(["65532:65532"]);
    const workerd = /workerd@(\S+)/.exec(found.get("RUN")?.join("\n") ?? "")?.[1];
    if (name === "edge.Dockerfile") expect(workerd).toBe(devDependencies["workerd"]);
  });

  test.each(files)("%s starts with flags that there are", async (name) => {
    const [words = "[]"] = (await instructions(name)).get("CMD") ?? [];
    const [command = "", ...flags] = JSON.parse(words) as string[];
    const program = Program.agent([command, ...flags, "--help"]);
    expect(await program.exit(START_MS)).toMatchObject({ code: 0 });
  });

  test(
    "the edge's health check passes beside an edge, and fails without one",
    async () => {
      const [check = ""] = (await instructions("edge.Dockerfile")).get("HEALTHCHECK") ?? [];
      const [program, flag = "", script = ""] = JSON.parse(
        check.slice(check.indexOf("CMD ") + "CMD ".length),
      ) as string[];
      expect(program).toBe("node");
      const edge = await Edge.start();
      cleanups.push(() => edge.stop());
      const healthy = async (): Promise<number | null> => {
        const here = script.replace(":8787", `:${edge.port}`);
        return (await Program.start(node, [flag, here]).exit(START_MS)).code;
      };
      expect(await healthy()).toBe(0);
      await edge.program.stop();
      expect(await healthy()).toBe(1);
    },
    2 * START_MS,
  );

  test(
    "the agent's health check passes while it is connected, and fails without an edge and without an agent",
    async () => {
      const found = await instructions("agent.Dockerfile");
      const [check = ""] = found.get("HEALTHCHECK") ?? [];
      const [program, ...words] = JSON.parse(
        check.slice(check.indexOf("CMD ") + "CMD ".length),
      ) as string[];
      expect(program).toBe("agent");
      // Where the two agree; here the port is one that is free.
      expect(found.get("ENV")?.join(" ")).toMatch(/\bAGENT_METRICS=127\.0\.0\.1:9090$/);
      const edge = await Edge.start();
      cleanups.push(() => edge.stop());
      const agent = await edge.agent({ service: "shop", port: 1, flags: ["--metrics", "0"] });
      const { host } = new URL(String((await agent.event("metrics"))["url"]));
      const healthy = async (): Promise<number | null> => {
        const asks = Program.agent(words, { env: { AGENT_METRICS: host } });
        return (await asks.exit(START_MS)).code;
      };
      expect(await healthy()).toBe(0);
      await edge.program.stop();
      await agent.event("disconnected");
      expect(await healthy()).toBe(1);
      await agent.stop();
      expect(await healthy()).toBe(1);
    },
    2 * START_MS,
  );
});
