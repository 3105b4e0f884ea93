/** The commands as a user or a script meets them: exit codes, output, signals. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jwtVerify } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Origin } from "../support/origin.ts";
import { Program, type ProgramOptions } from "../support/program.ts";
import { poll } from "../support/until.ts";
import { FakeEdge } from "./fake-edge.ts";
import { readAll } from "./pair.ts";

const secret = "0123456789abcdef0123456789abcdef";
const refusedToken = { status: 401, fields: { "sluice-error": "unauthorized" } };
let directory = "";
let edge: FakeEdge | undefined;
let origin: Origin | undefined;
const started: Program[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-unit-"));
  await writeFile(join(directory, "secret"), `${secret}\n`);
  await writeFile(join(directory, "short"), "short\n");
  await writeFile(join(directory, "token"), "a.token\n");
});
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(async () => {
  await Promise.all(started.splice(0).map((program) => program.stop()));
  await edge?.stop();
  await origin?.stop();
  edge = undefined;
  origin = undefined;
});

function agent(parameters: readonly string[], options?: ProgramOptions): Program {
  const program = Program.agent(parameters, options);
  started.push(program);
  return program;
}

function connectTo(url: string, port: number): string[] {
  const file = join(directory, "token");
  return ["connect", "-e", url, "-s", "shop", "-p", String(port), "--token-file", file];
}

describe("usage", () => {
  test.each<[string, string[], string]>([
    ["an unknown command", ["conect"], "Did you mean connect?"],
    ["an unknown flag", ["connect", "--prot", "1"], "Did you mean --port?"],
    ["no command", [], "Usage:"],
    ["a missing flag", ["connect"], "--edge is missing"],
    ["a wrong value", ["edge", "--port", "http"], "--port must be a whole number from 0 to 65535"],
    ["a token without a secret", ["token", "--service", "shop"], "TUNNEL_SECRET"],
    [
      "an agent without a token",
      ["connect", "-e", "http://127.0.0.1:1", "-s", "shop", "-p", "1"],
      "A token is missing",
    ],
  ])("%s is exit code 2 and a sentence on stderr", async (_what, parameters, says) => {
    const program = agent(parameters);
    expect(await program.exit()).toEqual({ code: 2, signal: null });
    expect(program.stderr).toContain(says);
    expect(program.stderr).not.toContain("    at ");
    expect(program.lines).toEqual([]);
  });

  test("help and version are exit code 0 and on stdout", async () => {
    const help = agent(["connect", "--help"]);
    expect(await help.exit()).toMatchObject({ code: 0 });
    expect(help.lines.join("\n")).toContain("AGENT_CONCURRENCY");
    const version = agent(["--version"]);
    expect(await version.exit()).toMatchObject({ code: 0 });
    expect(version.lines.join("")).toMatch(/^agent \d+\.\d+\.\d+, protocol sluice\.v1, node \d+/);
  });

  test("with --json a usage error is an event too", async () => {
    const program = agent(["connect", "--json"]);
    expect(await program.exit()).toMatchObject({ code: 2 });
    expect(program.events).toMatchObject([{ event: "error", code: "usage" }]);
  });
});

describe("token", () => {
  test("it prints one token and nothing else", async () => {
    const file = join(directory, "secret");
    const program = agent(["token", "--service", "shop", "--expires", "1h", "--secret-file", file]);
    expect(await program.exit()).toMatchObject({ code: 0 });
    expect(program.lines).toHaveLength(1);
    expect(program.stderr).toBe("");
    const key = new TextEncoder().encode(secret);
    const { payload } = await jwtVerify(program.lines[0] ?? "", key, { audience: "sluice" });
    expect(payload).toMatchObject({ service: "shop", role: "agent", iss: "sluice" });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(3600);
  });

  test("the secret may come from stdin, and flags from the environment", async () => {
    const program = agent(["token", "--secret-file", "-"], {
      stdin: `${secret}\n`,
      env: { AGENT_SERVICE: "shop", AGENT_ROLE: "visitor" },
    });
    expect(await program.exit()).toMatchObject({ code: 0 });
    const key = new TextEncoder().encode(secret);
    const { payload } = await jwtVerify(program.lines[0] ?? "", key);
    expect(payload).toMatchObject({ service: "shop", role: "visitor" });
  });

  test("a short secret is refused with advice, from a file as from TUNNEL_SECRET", async () => {
    const file = agent(["token", "--service", "shop", "--secret-file", join(directory, "short")]);
    const variable = agent(["token", "--service", "shop"], { env: { TUNNEL_SECRET: "short" } });
    for (const program of [file, variable]) {
      expect(await program.exit()).toMatchObject({ code: 2 });
      expect(program.stderr).toContain("openssl rand -hex 32");
    }
  });
});

describe("connect", () => {
  test("without --json the public URL, and only that, is on stdout", async () => {
    edge = await FakeEdge.start();
    const program = agent(connectTo(edge.url.href, 1));
    await program.line(/^http/);
    expect(program.lines).toEqual([`http://127.0.0.1:${edge.port}/send/shop/`]);
    expect(program.stderr).toContain(`connecting to ws://127.0.0.1:${edge.port}/websocket/shop`);
    await poll(() => program.stderr.includes("http://localhost:1"), "the origin's address");
  });

  test("the token may come from stdin or from AGENT_TOKEN, and a flag wins over it", async () => {
    edge = await FakeEdge.start();
    const flags = ["connect", "-e", edge.url.href, "-s", "shop", "-p", "1"];
    const token = join(directory, "token");
    const piped = agent([...flags, "--token-file", "-"], { stdin: "from.stdin\n" });
    expect((await edge.caller(0)).request.headers.authorization).toBe("Bearer from.stdin");
    await piped.stop();
    const variable = agent(flags, { env: { AGENT_TOKEN: "from.env", AGENT_TOKEN_FILE: token } });
    expect((await edge.caller(1)).request.headers.authorization).toBe("Bearer from.env");
    await variable.stop();
    agent([...flags, "--token-file", token], { env: { AGENT_TOKEN: "from.env" } });
    expect((await edge.caller(2)).request.headers.authorization).toBe("Bearer a.token");
  });

  test.each([
    ["a flag", ["--replace"], {}, "1"],
    ["a variable", [], { AGENT_REPLACE: "1" }, "1"],
    ["a variable that says no", [], { AGENT_REPLACE: "false" }, undefined],
    ["an empty variable", [], { AGENT_REPLACE: "" }, undefined],
    ["a flag, whatever the variable says", ["--replace"], { AGENT_REPLACE: "0" }, "1"],
  ])("%s decides whether it takes over", async (_, flags, env, asked) => {
    edge = await FakeEdge.start();
    agent([...connectTo(edge.url.href, 1), ...flags], { env });
    expect((await edge.caller()).request.headers["sluice-replace"]).toBe(asked);
  });

  test("AGENT_JSON asks for events, unless it says no", async () => {
    const yes = agent(["connect"], { env: { AGENT_JSON: "1" } });
    expect(await yes.exit()).toMatchObject({ code: 2 });
    expect(yes.events).toMatchObject([{ event: "error", code: "usage" }]);
    const no = agent(["connect"], { env: { AGENT_JSON: "0" } });
    expect(await no.exit()).toMatchObject({ code: 2 });
    expect(no.events).toEqual([]);
  });

  test("a refused token is exit code 4, a refused version 5", async () => {
    edge = await FakeEdge.start();
    edge.refusal = refusedToken;
    const refused = agent(connectTo(edge.url.href, 1));
    expect(await refused.exit()).toMatchObject({ code: 4 });
    edge.refusal = { status: 426, fields: { "sluice-error": "upgrade-required" } };
    const old = agent(connectTo(edge.url.href, 1));
    expect(await old.exit()).toMatchObject({ code: 5 });
  });

  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)(
    "the first %s lets requests finish, the second ends at once with %i",
    async (signal, code) => {
      edge = await FakeEdge.start();
      origin = await Origin.start();
      origin.otherwise(({ response }) => response.write("half"));
      const program = agent([...connectTo(edge.url.href, origin.port), "--json"]);
      const { session } = await edge.caller();
      const exchange = session.open({ method: "GET", path: "/", headers: [], length: "none" });
      await exchange.answer();
      program.kill(signal);
      expect(await program.event("draining")).toMatchObject({ inFlight: 1 });
      expect(program.ended).toBe(false);
      program.kill(signal);
      expect(await program.exit()).toEqual({ code, signal: null });
      await origin.log[0]?.gone();
    },
  );

  test("a signal with nothing in flight is exit code 0 at once", async () => {
    edge = await FakeEdge.start();
    const program = agent([...connectTo(edge.url.href, 1), "--json"]);
    await program.event("connected");
    program.kill("SIGTERM");
    expect(await program.exit(3000)).toEqual({ code: 0, signal: null });
  });

  test("SIGHUP dials again, and loses nothing that is in flight", async () => {
    edge = await FakeEdge.start();
    origin = await Origin.start();
    origin.otherwise(({ response }) => response.write("half"));
    const program = agent([...connectTo(edge.url.href, origin.port), "--json"]);
    const { session } = await edge.caller();
    const exchange = session.open({ method: "GET", path: "/", headers: [], length: "none" });
    await exchange.answer();
    program.kill("SIGHUP");
    const lost = await program.event("disconnected");
    expect(lost).toMatchObject({ code: "agent-lost", retryMs: 0 });
    const { session: id } = (await program.event("connected")) as { session?: string };
    expect(await program.event("resumed")).toMatchObject({ session: id, streams: 1 });
    origin.log[0]?.response.end(" and half");
    expect(await readAll(exchange)).toBe("half and half");
  });
});

describe("connect with a configuration file", () => {
  async function configured(services: object, more: object = {}): Promise<string> {
    edge ??= await FakeEdge.start();
    const file = join(directory, "sluice.json");
    await writeFile(file, JSON.stringify({ edge: edge.url.origin, ...more, services }));
    return file;
  }

  test("several services run in one process, each with its own token, and every line and event says which", async () => {
    await writeFile(join(directory, "api.token"), "b.token\n");
    const file = await configured({
      shop: { port: 1, tokenFile: "token" },
      api: { port: 2, tokenFile: "api.token" },
    });
    const program = agent(["connect", "--config", file, "--json"]);
    const dialled = [await edge?.caller(0), await edge?.caller(1)].map((caller) => [
      caller?.request.url,
      caller?.request.headers.authorization,
    ]);
    expect(Object.fromEntries(dialled)).toEqual({
      "/websocket/api": "Bearer b.token",
      "/websocket/shop": "Bearer a.token",
    });
    await program.event("connected", (event) => event["service"] === "shop");
    await program.event("connected", (event) => event["service"] === "api");
    await poll(
      () => /^api {3}.*http:\/\/localhost:2 {2}\(not answering\)$/m.test(program.stderr),
      "the line of api",
    );
    expect(program.stderr).toMatch(/^shop {2}.*http:\/\/localhost:1 {2}\(not answering\)$/m);
    program.kill("SIGINT");
    expect(await program.exit()).toEqual({ code: 0, signal: null });
    const drained = program.events.filter(({ event }) => event === "draining");
    expect(new Set(drained.map((event) => event["service"]))).toEqual(new Set(["api", "shop"]));
  });

  test("a service whose token is refused ends alone; the exit code says so at the end", async () => {
    const file = await configured({
      shop: { port: 1, tokenFile: "token" },
      api: { port: 2, tokenFile: "token" },
    });
    if (edge !== undefined) edge.refusal = { ...refusedToken, path: "/websocket/api" };
    const program = agent(["connect", "--config", file, "--json"]);
    await program.event("connected", (event) => event["service"] === "shop");
    expect(await program.event("error")).toMatchObject({ service: "api", code: "unauthorized" });
    expect(program.ended).toBe(false);
    program.kill("SIGINT");
    expect(await program.exit()).toEqual({ code: 4, signal: null });
  });

  test.each<[string, object, string[], Record<string, string>, string]>([
    ["a wrong key", { shop: { prot: 1 } }, [], {}, "sluice.json: services.shop.prot is not known"],
    ["a port for two", { a: {}, b: {} }, ["-p", "1"], {}, "--port is for one service"],
    ["a token for two", { a: {}, b: {} }, [], { AGENT_TOKEN: "x" }, "AGENT_TOKEN is for one"],
    ["no token", { shop: { port: 1 } }, [], {}, 'A token is missing for "shop"'],
    [
      "a certificate that is none",
      { shop: { origin: "https://x", originCa: "token", tokenFile: "token" } },
      [],
      {},
      "--origin-ca) cannot be used: it holds no PEM certificate",
    ],
  ])("%s is exit code 2 and a sentence", async (_what, services, flags, env, says) => {
    const file = await configured(services);
    const program = agent(["connect", "--config", file, ...flags], { env });
    expect(await program.exit()).toEqual({ code: 2, signal: null });
    expect(program.stderr).toContain(says);
    expect(program.stderr).not.toContain("    at ");
  });

  test("a file that nobody asked for, as of a repository that was cloned, sends no token anywhere", async () => {
    const theirs = await FakeEdge.start();
    const clone = await mkdtemp(join(directory, "clone-"));
    const content = { edge: theirs.url.href, services: { shop: { port: 1 } } };
    await writeFile(join(clone, "sluice.config.json"), JSON.stringify(content));
    const mine = { cwd: clone, env: { AGENT_TOKEN: "my.token" } };
    const mistaken = agent(["connect", "--json"], mine);
    await Promise.race([mistaken.exit(), theirs.caller(0)]);
    expect(theirs.upgrades).toEqual([]);
    expect(await mistaken.exit()).toEqual({ code: 2, signal: null });
    expect(mistaken.stderr).toContain("sluice.config.json is here and is not read");
    edge = await FakeEdge.start();
    const asked = agent(["connect", "-e", edge.url.href, "-s", "shop", "-p", "3", "--json"], mine);
    expect(await asked.event("connected")).toMatchObject({ service: "shop" });
    expect(edge.upgrades.map(({ url }) => url)).toEqual(["/websocket/shop"]);
    expect(theirs.upgrades).toEqual([]);
    await theirs.stop();
  });

  test("--insecure-origin warns at each start", async () => {
    edge = await FakeEdge.start();
    const flags = ["--origin", "https://localhost:1", "--insecure-origin"];
    const file = join(directory, "token");
    const program = agent([
      "connect",
      "-e",
      edge.url.href,
      "-s",
      "shop",
      ...flags,
      "--token-file",
      file,
    ]);
    await edge.caller();
    await poll(() => program.stderr.includes("warning: --insecure-origin"), "the warning");
  });
});

test.each<[string, string[], Record<string, string>, string]>([
  ["by default", [], {}, "/send/shop/login"],
  ["with --no-rewrite-location", ["--no-rewrite-location"], {}, "/login"],
  ["with a variable that says no", [], { AGENT_REWRITE_LOCATION: "0" }, "/login"],
  ["with a variable that says yes", [], { AGENT_REWRITE_LOCATION: "1" }, "/send/shop/login"],
  [
    "with the flag, whatever the variable says",
    ["--rewrite-location"],
    { AGENT_REWRITE_LOCATION: "0" },
    "/send/shop/login",
  ],
])("%s a redirect leads where it says", async (_what, flags, env, expected) => {
  edge = await FakeEdge.start();
  origin = await Origin.start();
  origin.otherwise(({ response }) => response.writeHead(302, { location: "/login" }).end());
  agent([...connectTo(edge.url.href, origin.port), ...flags], { env });
  const { session } = await edge.caller();
  const headers = ["x-forwarded-prefix", "/send/shop"];
  const exchange = session.open({ method: "GET", path: "/", headers, length: "none" });
  expect((await exchange.answer()).headers).toEqual(expect.arrayContaining(["location", expected]));
});
