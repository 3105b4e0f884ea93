/** The agent's connection is lost: what it says and does, and what becomes of requests in flight. */
import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Exchange } from "../../codec/exchange.ts";
import { GRACE_MS } from "../../codec/limits.ts";
import { Origin, type Received } from "../support/origin.ts";
import { within } from "../support/until.ts";
import { type Caller, FakeEdge } from "./fake-edge.ts";
import { readAll } from "./pair.ts";
import { Run, type RunFlags } from "./run.ts";

let edge: FakeEdge | undefined;
let origin: Origin | undefined;
let running: Run | undefined;

afterEach(async () => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  running?.agent.stop();
  await running?.exit;
  await edge?.stop();
  await origin?.stop();
});

interface Started {
  readonly edge: FakeEdge;
  readonly origin: Origin;
  readonly run: Run;
  readonly caller: Caller;
}

/** An agent that is connected. */
async function start(flags: Partial<RunFlags> = {}): Promise<Started> {
  edge = await FakeEdge.start();
  origin = await Origin.start();
  const run = new Run({ edge: edge.url, port: origin.port, ...flags });
  running = run;
  const caller = await edge.caller();
  await run.event("connected");
  return { edge, origin, run, caller };
}

interface Busy extends Started {
  /** A request in flight, of whose answer "half" is out. */
  readonly exchange: Exchange;
  readonly received: Received;
}

async function startBusy(flags: Partial<RunFlags> = {}): Promise<Busy> {
  const started = await start(flags);
  started.origin.on("/held", ({ response }) => response.write("half"));
  const exchange = started.caller.session.open({ ...get, path: "/held" });
  await exchange.answer();
  const [received] = started.origin.log;
  if (received === undefined) throw new Error("nothing at the origin");
  return { ...started, exchange, received };
}

const get = { method: "GET", path: "/", headers: [], length: "none" } as const;

/** Draws of the backoff's random number from now on, from 0 to 1. */
function draw(random: number): void {
  vi.spyOn(Math, "random").mockReturnValue(random);
}

/** The largest draw there is. */
const MOST = 1 - 2 ** -53;

/** A clock that jumps forward when it is told to. */
function movableClock(): (ms: number) => void {
  const now = performance.now.bind(performance);
  let aheadMs = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now() + aheadMs);
  return (ms) => void (aheadMs += ms);
}

test("with requests in flight it dials at once, and they go on over the new connection", async () => {
  const { run, edge: fake, caller, exchange, received } = await startBusy();
  caller.ws.terminate();
  expect(await run.event("disconnected")).toMatchObject({ code: "agent-lost", retryMs: 0 });
  expect(await run.event("resumed")).toMatchObject({ session: "session-1", streams: 1 });
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
  expect(run.story).toEqual(["connected", "disconnected", "resumed"]);
  const [first, second] = fake.upgrades.map(({ headers }) => headers["sluice-agent"]);
  expect(second).toBe(first);
});

test("a download and an upload go on byte-exact through one cut after the other", async () => {
  draw(0);
  const { edge: fake, origin: server, run, caller } = await start();
  const down = randomBytes(3_000_000);
  const up = randomBytes(1_000_000);
  server.on("/down", ({ response }) => response.end(down));
  server.on("/up", async (received) => {
    const body = await received.body();
    received.response.end(String(body.equals(up)));
  });
  const { session } = caller;
  const cut = (): void => fake.callers.at(-1)?.ws.terminate();
  const download = session.open({ ...get, path: "/down" });
  const upload = session.open({ ...get, method: "POST", path: "/up", length: up.length });
  const send = async (): Promise<void> => {
    for (let at = 0; at < up.length; at += 50_000) {
      if (!upload.outgoing.write(up.subarray(at, at + 50_000))) await upload.outgoing.ready();
      if (at % 250_000 === 0) cut();
    }
    upload.outgoing.end();
  };
  const receive = async (): Promise<Buffer> => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of download.incoming) {
      chunks.push(Uint8Array.from(chunk));
      if (Math.floor(bytes / 500_000) !== Math.floor((bytes + chunk.length) / 500_000)) cut();
      bytes += chunk.length;
    }
    return Buffer.concat(chunks);
  };
  const [, got] = await Promise.all([send(), receive()]);
  expect(got.equals(down)).toBe(true);
  expect(await readAll(upload)).toBe("true");
  expect(run.story.filter((event) => event === "resumed").length).toBeGreaterThan(3);
});

test("while the edge may keep what is in flight it waits a second at most, and later longer and longer", async () => {
  draw(MOST);
  const pass = movableClock();
  const { edge: fake, run, caller } = await start();
  fake.refusal = { status: 503, body: "Not now.\n" };
  caller.ws.terminate();
  const waits: number[] = [];
  for (let nth = 0; nth < 8; nth++) {
    waits.push((await run.event("disconnected", nth)).retryMs);
    if (nth === 3) pass(GRACE_MS);
    run.agent.redial("the test does not wait");
  }
  expect(waits).toEqual([500, 1000, 1000, 1000, 8000, 15_000, 15_000, 15_000]);
});

test("only a connection that lasted ten seconds makes it begin with short waits again", async () => {
  draw(MOST);
  const pass = movableClock();
  const { edge: fake, run, caller } = await start();
  caller.ws.terminate();
  expect((await run.event("disconnected")).retryMs).toBe(500);
  run.agent.redial("the test does not wait");
  const second = await fake.caller(1);
  await run.event("connected", 1);
  pass(9000);
  second.ws.terminate();
  expect((await run.event("disconnected", 1)).retryMs).toBe(1000);
  run.agent.redial("the test does not wait");
  const third = await fake.caller(2);
  await run.event("connected", 2);
  pass(10_000);
  third.ws.terminate();
  expect((await run.event("disconnected", 2)).retryMs).toBe(500);
});

test("SIGHUP on a good connection loses nothing that is in flight", async () => {
  const { run, exchange, received } = await startBusy();
  run.agent.redial("asked to");
  expect(await run.event("disconnected")).toMatchObject({ reason: "asked to", retryMs: 0 });
  expect(await run.event("resumed")).toMatchObject({ streams: 1 });
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
});

test("when the machine has slept it dials again, and loses nothing that is in flight", async () => {
  const { run, exchange, received } = await startBusy();
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
  expect(await run.event("disconnected")).toMatchObject({ reason: "the machine slept" });
  vi.useRealTimers();
  await run.event("resumed");
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
});

test("an edge that went silent is noticed within ten seconds, and nothing that is in flight is lost", async () => {
  vi.useFakeTimers({
    toFake: ["setInterval", "setTimeout", "clearTimeout", "clearInterval", "performance"],
  });
  const { run, edge: fake, caller, exchange, received } = await startBusy();
  caller.ws.pause();
  vi.advanceTimersByTime(10_000);
  expect(await run.event("disconnected")).toMatchObject({ code: "agent-lost", retryMs: 0 });
  vi.advanceTimersByTime(1);
  await run.event("resumed");
  expect(fake.callers).toHaveLength(2);
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
});

describe("a connection that was up for an hour", () => {
  async function upForAnHour(): Promise<Busy> {
    draw(0.99);
    const advance = movableClock();
    const busy = await startBusy();
    advance(3_600_000);
    return busy;
  }

  test("is dialled again every second at the latest while the edge may keep what is in flight", async () => {
    const { run, edge: fake, caller } = await upForAnHour();
    fake.refusal = { status: 503, body: "Not now.\n" };
    caller.ws.terminate();
    // Without that the third wait would be of two seconds.
    await run.event("disconnected", 2);
    expect(
      run.events.flatMap((each) => (each.event === "disconnected" ? each.retryMs : [])),
    ).toEqual([0, 990, 990]);
  });

  test("is not dialled again and again without a pause when sockets open and say nothing", async () => {
    const { run, edge: fake, caller } = await upForAnHour();
    caller.ws.terminate();
    const early = await fake.until(() => fake.callers[1], "the next socket");
    early.ws.terminate();
    expect(await run.event("disconnected", 1)).toMatchObject({ retryMs: 990 });
  });
});

test("an edge that has forgotten the session gets another, and the origin is told that nobody waits", async () => {
  draw(0.1);
  const { run, edge: fake, origin: server, received } = await startBusy();
  const { port } = fake;
  await fake.stop();
  edge = await FakeEdge.start(port, "other");
  const { session } = await edge.caller();
  await received.gone();
  expect(await run.event("request")).toMatchObject({ path: "/held", outcome: "agent-lost" });
  const exchange = session.open(get);
  expect(await readAll(exchange)).toBe("GET /\n");
  expect(server.log).toHaveLength(2);
  expect(run.story.at(-1)).toBe("connected");
  expect(run.story).not.toContain("resumed");
});

test("when the grace is over before the edge is back, what was in flight ends, and the agent goes on trying", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { run, edge: fake, caller, received } = await startBusy();
  fake.refusal = { status: 503, body: "Not now.\n" };
  caller.ws.terminate();
  await run.event("disconnected");
  vi.advanceTimersByTime(GRACE_MS - 1);
  await run.event("disconnected", 1);
  expect(received.cut).toBe(false);
  vi.advanceTimersByTime(1);
  await received.gone();
  expect(await run.event("request")).toMatchObject({ path: "/held", outcome: "agent-lost" });
  fake.refusal = undefined;
  run.agent.redial("the test does not wait");
  await run.event("connected", 1);
});

test.each<[string, string, string | Uint8Array]>([
  ["a text message", "protocol-error", "text"],
  ["garbage", "protocol-error", new Uint8Array([0xc1, 0xc1])],
  ["a message above the limit", "frame-too-large", new Uint8Array(1_048_577)],
])("%s from the edge ends the session and what it has, not the agent", async (_, code, message) => {
  draw(0);
  const { run, edge: fake, caller, received } = await startBusy();
  caller.ws.send(message);
  await received.gone();
  expect(await run.event("disconnected")).toMatchObject({ code });
  expect((await fake.caller(1)).session.id).toBe("session-2");
  await run.event("connected", 1);
  expect(run.story).toEqual(["connected", "disconnected", "connected"]);
});

test("an agent that another one replaces finishes what it has and ends with exit code 0", async () => {
  const { run, caller, exchange, received } = await startBusy();
  caller.session.drain("replaced", "another agent took over");
  expect(await run.event("draining")).toMatchObject({ inFlight: 1 });
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
  expect(await within(run.exit, "its end")).toBe(0);
});

test("an edge that takes no more of it for another reason does not end it", async () => {
  const { run, edge: fake, caller, exchange, received } = await startBusy();
  caller.session.drain("draining", "an update");
  // What comes behind it has arrived: so has it.
  exchange.cancel("cancelled");
  await received.gone();
  caller.ws.terminate();
  await fake.caller(1);
  await run.event("connected", 1);
  expect(run.story).toEqual(["connected", "disconnected", "connected"]);
});

test("whoever has a connection is not told of the loss of the one before, which finishes what it has", async () => {
  const { run, caller, exchange, received } = await startBusy();
  caller.session.drain("draining", "an update");
  await run.event("connected", 1);
  caller.ws.terminate();
  await run.event("resumed");
  expect(run.story).toEqual(["connected", "connected", "resumed"]);
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
});

test("one that takes over says so until the edge has heard it, and not again when it dials again", async () => {
  edge = await FakeEdge.start();
  edge.refusal = { status: 503, body: "Not now.\n" };
  origin = await Origin.start();
  running = new Run({ edge: edge.url, port: origin.port, replace: true });
  await running.event("disconnected");
  edge.refusal = undefined;
  running.agent.redial("the test does not wait");
  (await edge.caller()).ws.terminate();
  await running.event("disconnected", 1);
  running.agent.redial("the test does not wait");
  await running.event("connected", 1);
  expect(edge.upgrades.map(({ headers }) => headers["sluice-replace"])).toEqual([
    "1",
    "1",
    undefined,
  ]);
});

test("draining while the connection is lost waits for the next one, and lets what is in flight finish", async () => {
  draw(0.1);
  const { run, edge: fake, caller, exchange, received } = await startBusy();
  fake.refusal = { status: 503, body: "Not now.\n" };
  caller.ws.terminate();
  await run.event("disconnected");
  run.agent.drain();
  expect(await run.event("draining")).toMatchObject({ inFlight: 1 });
  fake.refusal = undefined;
  await run.event("resumed");
  await fake.until(() => fake.callers[1]?.greeted?.ready === false, "GOAWAY at the edge");
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
  expect(await within(run.exit, "its end")).toBe(0);
});

test("draining ends when its own grace does, though the edge does not come back", async () => {
  draw(0.1);
  const { run, edge: fake, caller, received } = await startBusy({ grace: "100ms" });
  fake.refusal = { status: 503, body: "Not now.\n" };
  caller.ws.terminate();
  await run.event("disconnected");
  run.agent.drain();
  expect(await within(run.exit, "its end")).toBe(0);
  await received.gone();
});
