/** `agent connect` at a real terminal: what is seen, what keys do, and that the terminal is as it was afterwards. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Origin } from "../support/origin.ts";
import { noPty, Pty, type PtyOptions } from "../support/pty.ts";
import { poll } from "../support/until.ts";
import { FakeEdge } from "./fake-edge.ts";

let directory = "";
let edge: FakeEdge | undefined;
let origin: Origin | undefined;
let pty: Pty | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
  await writeFile(join(directory, "token"), "a.token\n");
});

afterAll(() => rm(directory, { recursive: true }));

afterEach(async () => {
  pty?.close();
  await pty?.end();
  await edge?.stop();
  await origin?.stop();
  pty = edge = origin = undefined;
});

/** An agent at a terminal, connected to an edge and with a server behind it. */
async function connected(flags: string[] = [], options: PtyOptions = {}, then = "") {
  edge = await FakeEdge.start();
  origin = await Origin.start();
  const parameters = ["connect", "-e", edge.url.origin, "-s", "shop", "-p", String(origin.port)];
  const file = join(directory, "token");
  const terminal = Pty.agent([...parameters, "--token-file", file, ...flags], options, then);
  pty = terminal;
  await terminal.sees(/connected, rtt/);
  const { session } = await edge.caller();
  return { terminal, edge, origin, session };
}

/** A request of a visitor. */
const get = (path: string) => ({ method: "GET", path, headers: [], length: "none" }) as const;

/** What `stty -a` says of a terminal in which a shell can be used. */
const usable = /^(?=[^]*\sisig\s)(?=[^]*\sicanon\s)(?=[^]*\secho\s)/;

describe.skipIf(noPty !== undefined)(`at a terminal (${noPty ?? "there is one"})`, () => {
  test("the URLs, each finished request, and open streams while they last", async () => {
    const { terminal, origin: server, session } = await connected();
    await terminal.sees(/➜ {2}Public {4}http:\/\/127\.0\.0\.1:\d+\/send\/shop\//);
    await terminal.sees(/➜ {2}Origin {4}http:\/\/localhost:\d+ {2}\(up, \d+ ms\)/);
    server.otherwise(({ response }) => response.write("x".repeat(5000)));
    const stream = session.open(get("/film"));
    await stream.answer();
    await terminal.sees(/⇄ GET +\/film +200 +↓ 5\.0 kB +.*\d+ s$/m);
    server.otherwise(({ response }) => response.end("done"));
    await session.open(get("/page")).answer();
    await terminal.sees(/GET +\/page +200 .*\n {2}⇄ GET +\/film/);
    stream.cancel("cancelled");
    await terminal.sees(/GET +\/film +200 .*\n +cancelled: the visitor went away/);
    expect(terminal.vt.text).not.toContain("⇄");
  });

  test("a narrower window gets shorter lines", async () => {
    const { terminal, origin: server, session } = await connected();
    server.otherwise(({ response }) => response.write("x"));
    await session.open(get("/a/very/long/path/of/a/film/that/lasts")).answer();
    await terminal.sees(/⇄ GET +\/a\/very\/long\/path\/of\/a/);
    await terminal.resize(40);
    await terminal.sees(/^ {2}⇄ GET {2}\/a\/v\S*… {2}200 +↓ 1 B +\d+ s$/m);
  });

  test("a lost connection counts down and comes back, in one line", async () => {
    const { terminal, edge: server } = await connected();
    server.refusal = { status: 503, fields: { "retry-after": "3" } };
    server.callers[0]?.ws.terminate();
    await terminal.sees(/next try in 3 s/);
    await terminal.sees(/next try in 2 s/);
    server.refusal = undefined;
    await terminal.sees(/connected again after \d\.\d s/);
    expect(terminal.vt.text).not.toContain("next try");
  });

  test("keys: help, URLs, statistics, QR code, clear, connect anew, quit", async () => {
    const { terminal, edge: server } = await connected();
    await terminal.sees(/press h for help/);
    terminal.press("h");
    await terminal.sees(/u {2}show the URLs[^]*q {2}end when/);
    terminal.press("s");
    await terminal.sees(/requests +0 requests finished, 0 open/);
    terminal.press("Q");
    await terminal.sees(/█▀▀▀▀▀█/);
    terminal.press("c");
    await poll(() => !terminal.vt.text.includes("█"), "an empty terminal");
    terminal.press("u");
    await terminal.sees(/^ *➜ {2}Public/);
    // What was pasted is not meant.
    terminal.press("quit");
    await poll(() => {
      terminal.press("r");
      return server.callers.length > 1;
    }, "another dial");
    await terminal.sees(/connected again/);
    terminal.press("q");
    await terminal.sees(/served 0 requests in \d+ s\n/);
    await terminal.sees(/ended with 0/);
    expect(await terminal.settings()).toMatch(usable);
    expect(terminal.vt.cursor).toBe(true);
  });

  test("Ctrl-C drains and counts down, the second ends at once; the terminal is as it was", async () => {
    const { terminal, origin: server, session } = await connected();
    server.otherwise(({ response }) => response.write("half"));
    await session.open(get("/")).answer();
    terminal.press("\u0003");
    await terminal.sees(/draining: 1 request in flight, up to (?:30|29) s/);
    terminal.press("\u0003");
    await terminal.sees(/ended with 130/);
    expect(await terminal.settings()).toMatch(usable);
  });

  test("Ctrl-Z stops it with a usable terminal; in the foreground again it goes on, keys and all", async () => {
    const { terminal } = await connected([], {}, 'fg; echo "then $?"; stty -a;');
    terminal.press("\u001a");
    await terminal.sees(/ended with 148/);
    expect(await terminal.settings()).toMatch(usable);
    await poll(() => {
      terminal.press("h");
      return terminal.vt.text.includes("q  end when");
    }, "help");
    terminal.press("\u0003");
    await terminal.sees(/then 0/);
    expect(await terminal.settings(1)).toMatch(usable);
  });

  test("Ctrl-Z where nobody could continue it stops nothing: it goes on, keys and all", async () => {
    const { terminal } = await connected([], { jobs: false });
    terminal.press("\u001a");
    await poll(() => {
      terminal.press("h");
      return terminal.vt.text.includes("q  end when");
    }, "help");
    terminal.press("\u0003");
    await terminal.sees(/ended with 0/);
    expect(await terminal.settings()).toMatch(usable);
  });

  test("a crash leaves a usable terminal, and its reason below everything else", async () => {
    const crash = "process.on('SIGUSR2',()=>{throw(new(Error)('boom'))})";
    const { terminal } = await connected([], {
      env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(crash)}` },
    });
    process.kill(await terminal.pid(), "SIGUSR2");
    await terminal.sees(/Error: boom[^]*ended with 1/);
    expect(await terminal.settings()).toMatch(usable);
    expect(terminal.vt.cursor).toBe(true);
  });

  test("a token that is refused ends it with a sentence, and a usable terminal", async () => {
    edge = await FakeEdge.start();
    edge.refusal = { status: 401, fields: { "sluice-error": "unauthorized" } };
    const flags = ["connect", "-e", edge.url.origin, "-s", "shop", "-p", "1"];
    pty = Pty.agent([...flags, "--token-file", join(directory, "token")]);
    await pty.sees(/error: The edge refused the token/);
    await pty.sees(/ended with 4/);
    expect(await pty.settings()).toMatch(usable);
  });

  test("nobody's keys are read in CI, and nothing moves", async () => {
    const { terminal } = await connected([], { env: { CI: "true" } });
    terminal.press("h");
    terminal.press("\u0003");
    await terminal.sees(/ended with 0/);
    expect(terminal.vt.text).not.toContain("show the URLs");
    expect(terminal.raw).not.toContain("\u001b[");
  });

  test("who closes the window ends the tunnel", async () => {
    const { terminal, edge: server } = await connected();
    terminal.close();
    await poll(() => server.callers[0]?.closed !== undefined, "the agent's end");
  });

  test.each([
    ["NO_COLOR", { NO_COLOR: "1" }, []],
    ["--no-color", {}, ["--no-color"]],
    ["AGENT_COLOR", { AGENT_COLOR: "0" }, []],
    ["TERM=dumb", { TERM: "dumb" }, []],
  ] as const)("%s takes the colours away", async (_, env, flags) => {
    const { terminal } = await connected([...flags], { env: { ...env } });
    expect(terminal.raw).not.toMatch(/\[3\dm/);
  });

  test("otherwise there are colours", async () => {
    const { terminal } = await connected();
    expect(terminal.raw).toMatch(/\[3\dm/);
  });
});
