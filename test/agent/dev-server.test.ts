/** `agent connect -- <command>`: a development server is started, found, served and ended. The servers are scripts of Node. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { DevServer, type DevServerOptions } from "../../agent/dev-server/dev-server.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { alive, procfs } from "../support/memory.ts";
import { Program, type ProgramOptions } from "../support/program.ts";
import { poll, within } from "../support/until.ts";
import { FakeEdge } from "./fake-edge.ts";
import { readAll } from "./pair.ts";

let directory = "";
const cleanups: (() => Promise<unknown> | void)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-unit-"));
  await writeFile(join(directory, "token"), "a.token\n");
});
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/**
 * A server that checks names as development servers do, and says what it was given: Vite looks at `Host`, Rails at
 * `X-Forwarded-Host` too, webpack-dev-server and Next at `Origin`.
 */
const server = `
  const { createServer } = require("node:http");
  const host = /^(localhost|[^:]+\\.localhost|127\\.0\\.0\\.1|\\[::1\\])(:\\d+)?$/;
  const server = createServer((request, response) => {
    const { headers } = request;
    const named = [headers.host, headers["x-forwarded-host"], headers.origin?.split("//")[1]];
    const allowed = named.every((name) => name === undefined || host.test(name));
    response.statusCode = allowed ? 200 : 403;
    response.end(allowed ? process.env.SLUICE_URL : "Blocked request. This host is not allowed.");
  });
  server.listen(process.env.PORT ?? 0, "127.0.0.1", () => ready(server.address().port));
  const ready = (port) => {`;

async function fakeEdge(): Promise<FakeEdge> {
  const edge = await FakeEdge.start();
  cleanups.push(() => edge.stop());
  return edge;
}

/** `agent connect <flags> -- node -e <script>` */
function agent(
  edge: FakeEdge | undefined,
  script: string,
  flags: readonly string[] = [],
  options?: ProgramOptions,
): Program {
  const url = edge?.url.href ?? "http://127.0.0.1:9";
  const to = ["-e", url, "-s", "shop", "--token-file", join(directory, "token"), "--json"];
  const command = ["--", process.execPath, "-e", script];
  const program = Program.agent(["connect", ...to, ...flags, ...command], options);
  cleanups.push(() => program.stop());
  return program;
}

async function ask(edge: FakeEdge): Promise<[number, string]> {
  const { session } = await edge.caller();
  const exchange: Exchange = session.open({
    method: "GET",
    path: "/",
    headers: Object.entries({
      host: "edge.example.workers.dev",
      origin: "https://edge.example.workers.dev",
      "x-forwarded-host": "edge.example.workers.dev",
      "x-forwarded-proto": "https",
    }).flat(),
    length: "none",
  });
  const { status } = await exchange.answer();
  return [status, await readAll(exchange)];
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const free = createServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  const { port } = free.address() as AddressInfo;
  free.close();
  return port;
}

describe("the server", () => {
  test("is found by the address that it prints, knows the public URL, and believes that it is asked locally", async () => {
    const edge = await fakeEdge();
    const program = agent(
      edge,
      `${server} console.log("\\x1b[36mhttp://localhost:\\x1b[1m" + port + "\\x1b[22m/"); }`,
    );
    expect(await ask(edge)).toEqual([200, `http://127.0.0.1:${edge.port}/send/shop/`]);
    expect(program.stderr).toContain("\u001b[36mhttp://localhost:\u001b[1m");
    expect(program.lines).toEqual([]);
  });

  test("learns by which name it is visited with --public-name, and may turn that away", async () => {
    const edge = await fakeEdge();
    agent(edge, `${server} console.log("http://localhost:" + port); }`, ["--public-name"]);
    expect((await ask(edge))[0]).toBe(403);
  });

  test.runIf(procfs)("is found by its listening socket when it prints nothing", async () => {
    const edge = await fakeEdge();
    agent(edge, `${server} }`);
    expect((await ask(edge))[0]).toBe(200);
  });

  test.runIf(procfs)(
    "is found below a shell, and not taken for one that it only mentions",
    async () => {
      const edge = await fakeEdge();
      const other = createServer().listen(0, "127.0.0.1");
      await once(other, "listening");
      cleanups.push(() => void other.close());
      const mentioned = (other.address() as AddressInfo).port;
      const script = `
      const { spawn } = require("node:child_process");
      console.log("proxying to http://localhost:${mentioned}/");
      spawn("/bin/sh", ["-c", '"$0" -e "$1"; true', process.execPath, ${JSON.stringify(
        `${server} console.log("http://localhost:" + port); }`,
      )}], { stdio: "inherit" });`;
      agent(edge, script);
      expect((await ask(edge))[0]).toBe(200);
    },
  );

  test("is told a --port as PORT, and waited for there", async () => {
    const edge = await fakeEdge();
    const port = await freePort();
    agent(edge, `${server} console.log("http://localhost:1/"); }`, ["--port", String(port)]);
    expect((await ask(edge))[0]).toBe(200);
  });

  test("gets none of the tunnel's secrets", async () => {
    const edge = await fakeEdge();
    const said = join(directory, "environment");
    const script = `require("node:fs").writeFileSync(${JSON.stringify(said)}, JSON.stringify(process.env)); ${server} console.log("http://localhost:" + port); }`;
    agent(edge, script, [], {
      env: {
        AGENT_TOKEN: "hidden.token",
        TUNNEL_SECRET: "hidden.secret",
        TUNNEL_SECRET_PREVIOUS: "hidden.previous",
        MINE: "kept",
      },
    });
    await ask(edge);
    const text = await readFile(said, "utf8");
    expect(text).not.toContain("hidden");
    expect(JSON.parse(text)).toMatchObject({ MINE: "kept" });
  });
});

test("a command that waits for the end of its stdin does not end on a terminal, and has nothing to read there", async () => {
  const { isTTY } = process.stdin;
  process.stdin.isTTY = true;
  try {
    const script = `
      process.stdin.on("data", () => process.exit(3)).on("end", () => process.exit(4));
      ${server} console.log("http://localhost:" + port); }`;
    const output = new PassThrough();
    const started = new DevServer({
      command: [process.execPath, "-e", script],
      port: undefined,
      publicUrl: "https://edge.example/send/shop/",
      output,
      environment: process.env,
    });
    cleanups.push(() => started.kill());
    // It would have ended before.
    expect(await started.listening()).toMatchObject({ scheme: "http" });
    started.end("SIGTERM", 5000);
    expect(await started.ended).toBe(143);
  } finally {
    process.stdin.isTTY = isTTY;
  }
});

describe("the end", () => {
  test("of the command is the agent's, with its exit code", async () => {
    const edge = await fakeEdge();
    const program = agent(
      edge,
      `${server} console.log("http://localhost:" + port); server.on("request", () => process.exit(7)); }`,
    );
    await program.event("connected");
    const { session } = await edge.caller();
    session
      .open({ method: "GET", path: "/", headers: [], length: "none" })
      .answer()
      .catch(() => {});
    expect(await program.exit()).toEqual({ code: 7, signal: null });
    expect(program.stderr).toContain("ended with exit code 7");
  });

  test.each([
    [3, 3],
    [0, 1],
  ])("of a command with code %i before it listens is code %i, and said", async (code, ours) => {
    const program = agent(undefined, `process.exit(${code})`);
    expect(await program.exit()).toEqual({ code: ours, signal: null });
    expect(await program.event("error")).toMatchObject({ code: "command-ended" });
    expect(program.stderr).toContain(`ended with exit code ${code} before it listened`);
  });

  test("of an agent whose token is refused is the command's too", async () => {
    const edge = await fakeEdge();
    edge.refusal = { status: 401, fields: { "sluice-error": "unauthorized" } };
    const script = `${server} console.log("http://localhost:" + port, "pid " + process.pid); }`;
    const program = agent(edge, script);
    const pid = Number((await program.said(/pid (\d+)/))[1]);
    expect(await program.exit()).toEqual({ code: 4, signal: null });
    expect(procfs && alive(pid)).toBe(false);
  });

  test.each(["SIGINT", "SIGTERM"] as const)(
    "by %s goes to both: the agent drains, all of the command ends",
    async (signal) => {
      const edge = await fakeEdge();
      const inner = `process.on("${signal}", () => { console.log("inner got it"); process.exit(0); }); ${server} console.log("http://localhost:" + port, "pid " + process.pid); }`;
      const script = `
        const { spawn } = require("node:child_process");
        const child = spawn(process.execPath, ["-e", ${JSON.stringify(inner)}], { stdio: "inherit" });
        process.on("${signal}", () => {});
        child.on("exit", () => process.exit(5));`;
      const program = agent(edge, script);
      const pid = Number((await program.said(/pid (\d+)/))[1]);
      await program.event("connected");
      program.kill(signal);
      expect(await program.exit()).toEqual({ code: 5, signal: null });
      expect(program.stderr).toContain("inner got it");
      expect(await program.event("draining")).toMatchObject({ inFlight: 0 });
      expect(procfs && alive(pid)).toBe(false);
    },
  );

  test("before it listens leaves nothing behind either", async () => {
    const program = agent(
      undefined,
      `console.log("pid " + process.pid); setInterval(() => {}, 1000)`,
    );
    const pid = Number((await program.said(/pid (\d+)/))[1]);
    program.kill("SIGINT");
    expect(await program.exit()).toEqual({ code: 130, signal: null });
    expect(procfs && alive(pid)).toBe(false);
  });

  test.runIf(procfs)("by a second signal kills a command that does not want to end", async () => {
    const edge = await fakeEdge();
    const script = `process.on("SIGINT", () => console.log("not yet")); ${server} console.log("http://localhost:" + port, "pid " + process.pid); }`;
    const program = agent(edge, script);
    const pid = Number((await program.said(/pid (\d+)/))[1]);
    await program.event("connected");
    program.kill("SIGINT");
    await program.said(/not yet/);
    expect(program.ended).toBe(false);
    program.kill("SIGINT");
    expect(await program.exit()).toEqual({ code: 130, signal: null });
    await poll(() => !alive(pid), "the command's end");
  });

  test.runIf(procfs)("takes along what the command has left running", async () => {
    const edge = await fakeEdge();
    const inner = `${server} console.log("http://localhost:" + port, "pid " + process.pid); }`;
    const script = `
      require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(inner)}], { stdio: "inherit" });
      process.on("SIGUSR2", () => process.exit(0));
      console.log("outer " + process.pid);`;
    const program = agent(edge, script);
    const pid = Number((await program.said(/pid (\d+)/))[1]);
    const outer = Number((await program.said(/outer (\d+)/))[1]);
    await program.event("connected");
    process.kill(outer, "SIGUSR2");
    expect(await program.exit()).toEqual({ code: 0, signal: null });
    expect(alive(pid)).toBe(false);
  });
});

describe("a mistake", () => {
  test("in the program's name is exit code 2", async () => {
    const to = ["-e", "http://127.0.0.1:9", "-s", "shop", "--token-file", join(directory, "token")];
    const program = Program.agent(["connect", ...to, "--", "no-such-program", "x"]);
    expect(await program.exit()).toEqual({ code: 2, signal: null });
    expect(program.stderr).toContain('"no-such-program" cannot be started');
  });

  test.each<[string, string[], string]>([
    ["a command without --", ["npm", "run", "dev"], '"npm" is no flag. A command'],
    ["a word before --", ["npm", "--", "run"], '"npm" is no flag. A command'],
    ["nothing behind --", ["--"], "the command is missing"],
    ["--origin beside it", ["--origin", "http://x", "--", "true"], "two different things"],
    ["a wrong flag", ["--grace", "soon", "--", "true"], "--grace must be"],
  ])("%s is exit code 2 and a sentence", async (_what, more, says) => {
    const to = ["-e", "http://127.0.0.1:9", "-s", "shop", "--token-file", join(directory, "token")];
    const program = Program.agent(["connect", ...to, ...more]);
    expect(await program.exit()).toEqual({ code: 2, signal: null });
    expect(program.stderr).toContain(says);
  });

  test("in several services is one too", async () => {
    const file = join(directory, "several.json");
    const services = { shop: { tokenFile: "token" }, api: { tokenFile: "token" } };
    await writeFile(file, JSON.stringify({ edge: "http://127.0.0.1:9", services }));
    const program = Program.agent(["connect", "--config", file, "--", "true"]);
    expect(await program.exit()).toEqual({ code: 2, signal: null });
    expect(program.stderr).toContain("say which with --service");
  });
});

describe("a server that never listens is given up, and what was looked for is said:", () => {
  async function looked(script: string, more: Partial<DevServerOptions> = {}): Promise<string> {
    const started = new DevServer({
      command: [process.execPath, "-e", `${script}; setInterval(() => {}, 1000)`],
      port: undefined,
      publicUrl: "http://127.0.0.1:9/send/shop/",
      output: new PassThrough().resume(),
      environment: process.env,
      timeoutMs: 1000,
      ...more,
    });
    cleanups.push(async () => {
      started.kill();
      await within(started.ended, "the command's end");
    });
    const error: unknown = await started.listening().catch((reason: unknown) => reason);
    return error instanceof Error ? error.message : "it listens";
  }

  test("no address was printed", async () => {
    expect(await looked("")).toMatch(
      /^No server was found 1 s after ".*" was started: it has printed no address like http:\/\/localhost:3000.*give its --port\.$/,
    );
  });

  test.runIf(procfs)("one was printed, and is not its own", async () => {
    expect(await looked('console.log("http://localhost:9")')).toContain(
      "it has printed an address with port 9, where it does not listen, and none of its processes listens",
    );
  });

  test("nothing listens at --port", async () => {
    const port = await freePort();
    expect(await looked("", { port })).toMatch(
      new RegExp(`^Nothing listens on port ${port} of this machine 1 s after`),
    );
  });
});
