/** An agent of a service that is spread over several objects, and what it does when their number changes. */
import { once } from "node:events";
import { createServer, globalAgent } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { shardCount } from "../../agent/connection/shard-count.ts";
import { Origin } from "../support/origin.ts";
import { poll, within } from "../support/until.ts";
import { type Caller, FakeEdge } from "./fake-edge.ts";
import { readAll } from "./pair.ts";
import { Run, type RunFlags } from "./run.ts";

const get = { method: "GET", path: "/", headers: [], length: "none" } as const;

let edge: FakeEdge | undefined;
let origin: Origin | undefined;
let running: Run | undefined;

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  running?.agent.stop();
  await running?.exit;
  await edge?.stop();
  await origin?.stop();
});

interface Started {
  readonly edge: FakeEdge;
  readonly origin: Origin;
  readonly run: Run;
  /** The latest connection to a shard, once it is open for requests. */
  readonly at: (shard: number) => Promise<Caller>;
}

async function start(shards: number, flags: Partial<RunFlags> = {}): Promise<Started> {
  const fake = await FakeEdge.start();
  edge = fake;
  fake.shards = shards;
  origin = await Origin.start();
  running = new Run({ edge: fake.url, port: origin.port, ...flags });
  const at = async (shard: number): Promise<Caller> =>
    fake.until(
      () => fake.callers.findLast((each) => shardOf(each) === shard && each.greeted?.ready),
      `a connection to shard ${shard}`,
    );
  await at(shards - 1);
  return { edge: fake, origin, run: running, at };
}

function shardOf({ request }: Caller): number {
  return Number(/^\/websocket\/shop\?shard=(\d+)$/.exec(request.url ?? "")?.[1] ?? 0);
}

/** The edge says another number from now on, and the agent asks: it does so whenever it has dialled the first shard. */
async function change({ edge: fake }: Started, shards: number): Promise<void> {
  fake.shards = shards;
  const asked = fake.counts.length;
  // It dials again without a wait.
  vi.spyOn(Math, "random").mockReturnValue(0);
  fake.callers.findLast((each) => shardOf(each) === 0)?.ws.terminate();
  await fake.until(() => fake.counts.length > asked, "the question how many");
}

/** A request of which "half" is out. */
async function hold({ origin: server }: Started, caller: Caller) {
  const arrival = server.next(({ target }) => target === "/held");
  server.on("/held", ({ response }) => response.write("half"));
  const exchange = caller.session.open({ ...get, path: "/held" });
  await exchange.answer();
  return { exchange, received: await arrival };
}

test("it dials each shard that the edge says there is, once, and serves them all", async () => {
  const { edge: fake, run, at } = await start(3);
  for (const shard of [0, 1, 2]) {
    const { session } = await at(shard);
    expect(await readAll(session.open({ ...get, path: `/${shard}` }))).toBe(`GET /${shard}\n`);
  }
  expect(fake.upgrades.map(({ url }) => url)).toEqual([
    "/websocket/shop",
    "/websocket/shop?shard=1",
    "/websocket/shop?shard=2",
  ]);
  await run.event("connected", 2);
  const shards = run.events.flatMap((event) => (event.event === "connected" ? [event.shard] : []));
  expect(shards).toEqual([undefined, 1, 2]);
  expect(fake.counts.map(({ url, headers }) => [url, headers.authorization])).toEqual([
    ["/shards/shop", "Bearer a.token"],
  ]);
});

test("the origin gets no more at once than --concurrency, from all shards together", async () => {
  const started = await start(2, { concurrency: 1 });
  const { origin: server, at } = started;
  const { exchange, received } = await hold(started, await at(0));
  const waiting = readAll((await at(1)).session.open({ ...get, path: "/waits" }));
  const other = readAll((await at(0)).session.open({ ...get, path: "/waits-too" }));
  expect(server.log.map(({ target }) => target)).toEqual(["/held"]);
  received.response.end();
  await Promise.all([readAll(exchange), waiting, other]);
  expect(server.log).toHaveLength(3);
});

test("more shards are dialled, and the connections that there are stay", async () => {
  const started = await start(1);
  const { exchange, received } = await hold(started, await started.at(0));
  await change(started, 3);
  await Promise.all([started.at(1), started.at(2)]);
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
  expect(started.run.story.filter((event) => event === "resumed")).toHaveLength(1);
});

test("a shard that is one too many gets no new requests, and finishes those it has", async () => {
  const started = await start(3);
  const [one, two] = [await started.at(1), await started.at(2)];
  const { exchange, received } = await hold(started, two);
  await change(started, 1);
  await started.edge.until(() => one.closed, "the end of the idle one");
  await started.edge.until(() => !two.session.ready, "GOAWAY on the other");
  expect(two.closed).toBeUndefined();
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
  await started.edge.until(() => two.closed, "the end of the other");
  const { session } = await started.at(0);
  expect(await readAll(session.open(get))).toBe("GET /\n");
});

test("a shard that is one too many finishes what it has over another connection if it must", async () => {
  const started = await start(2);
  const surplus = await started.at(1);
  const { exchange, received } = await hold(started, surplus);
  await change(started, 1);
  await started.edge.until(() => !surplus.session.ready, "GOAWAY");
  const upgrades = started.edge.upgrades.length;
  surplus.ws.terminate();
  await started.edge.asked(upgrades + 1);
  expect(started.edge.upgrades.at(-1)?.url).toBe("/websocket/shop?shard=1");
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
});

test("a shard that is there again before its last connection has finished gets another beside it", async () => {
  const started = await start(2);
  const before = await started.at(1);
  const { exchange, received } = await hold(started, before);
  await change(started, 1);
  await started.edge.until(() => !before.session.ready, "GOAWAY");
  await change(started, 2);
  const after = await started.edge.until(
    () => started.edge.callers.find((each) => shardOf(each) === 1 && each.greeted?.ready),
    "another connection",
  );
  expect(after.request.headers["sluice-agent"]).not.toBe(before.request.headers["sluice-agent"]);
  expect(await readAll(after.session.open(get))).toBe("GET /\n");
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
});

test("it asks every minute, for the edge may change what it says while connections last", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const { edge: fake, at } = await start(1);
  await fake.until(() => fake.counts.length === 1, "the first question");
  fake.shards = 2;
  vi.advanceTimersByTime(59_000);
  expect(fake.counts).toHaveLength(1);
  // The first answer may still be on its way: then it does not ask.
  await poll(() => {
    vi.advanceTimersByTime(60_000);
    return fake.counts.length > 1;
  }, "another question");
  await at(1);
});

test("the round trip to each is told when a ping is answered, but of no connection that only finishes what it has", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  const started = await start(2);
  const { run, at } = started;
  vi.advanceTimersByTime(20_000);
  const told = [await run.event("roundTrip", 0), await run.event("roundTrip", 1)];
  expect(new Set(told.map(({ shard }) => shard))).toEqual(new Set([undefined, 1]));
  const { ws } = await at(1);
  const { exchange, received } = await hold(started, await at(1));
  await change(started, 1);
  await run.event("shards", 1);
  vi.advanceTimersByTime(5000);
  await once(ws, "ping");
  ws.ping();
  await once(ws, "pong");
  expect(run.events.filter(({ event }) => event === "roundTrip")).toHaveLength(2);
  received.response.end();
  await readAll(exchange);
});

test("draining ends all connections when what they have is finished, with exit code 0", async () => {
  const started = await start(3);
  const { exchange, received } = await hold(started, await started.at(2));
  started.run.agent.drain();
  expect(await started.run.event("draining")).toMatchObject({ inFlight: 1 });
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
  expect(await within(started.run.exit, "its end")).toBe(0);
  await started.edge.until(() => started.edge.callers.every(({ closed }) => closed), "all ends");
});

test("an edge that is about to end gets another connection in front of it, and what is in flight finishes", async () => {
  const started = await start(2, { replace: true });
  const { edge: fake, run, at } = started;
  const before = await at(1);
  const { exchange, received } = await hold(started, before);
  const dialled = fake.upgrades.length;
  before.session.drain("draining", "the edge restarts");
  await fake.until(() => fake.upgrades.length > dialled, "another dial");
  const upgrade = fake.upgrades[dialled];
  expect(upgrade?.url).toBe("/websocket/shop?shard=1");
  // Whoever took over in the meantime is not to be sent away.
  expect(upgrade?.headers["sluice-replace"]).toBeUndefined();
  await run.event("connected", 2);
  const { session } = fake.callers.find(({ request }) => request === upgrade) ?? before;
  expect(await readAll(session.open({ ...get, path: "/new" }))).toBe("GET /new\n");
  received.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
  await fake.until(() => before.closed, "the end of the one before");
  expect(run.story).not.toContain("disconnected");
});

test("what ends one connection for good ends them all", async () => {
  const { edge: fake, run, at } = await start(3);
  const caller = await at(2);
  fake.refusal = { status: 401, fields: { "sluice-error": "unauthorized" } };
  caller.ws.terminate();
  await run.event("disconnected");
  run.agent.redial("the test does not wait");
  expect(await within(run.exit, "its end")).toBe(4);
});

test("only the first shard is told that this agent takes over: whom it dismisses leaves all", async () => {
  const { edge: fake } = await start(2, { replace: true });
  expect(fake.upgrades.map(({ headers }) => headers["sluice-replace"])).toEqual(["1", undefined]);
});

describe("the number of shards", () => {
  const signal = new AbortController().signal;

  async function answered(status: number, fields: Record<string, string> = {}) {
    const server = createServer((_request, response) => response.writeHead(status, fields).end());
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const count = await shardCount(new URL(`http://127.0.0.1:${port}/`), "t", signal, globalAgent);
    server.close();
    return count;
  }

  test("is what the edge says, if it is a number that it may be", async () => {
    expect(await answered(204, { "sluice-shards": "12" })).toBe(12);
    for (const wrong of ["0", "1001", "1.5", "many", ""]) {
      expect(await answered(204, { "sluice-shards": wrong })).toBeUndefined();
    }
    expect(await answered(503)).toBeUndefined();
  });

  test("is one at an edge that does not know of shards", async () => {
    expect(await answered(404)).toBe(1);
  });

  test("is not known when the edge cannot be reached, or when nobody wants to know any more", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const url = new URL(`http://127.0.0.1:${port}/`);
    const leaving = new AbortController();
    server.once("request", () => leaving.abort());
    expect(await shardCount(url, "t", leaving.signal, globalAgent)).toBeUndefined();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    expect(await shardCount(url, "t", signal, globalAgent)).toBeUndefined();
  });
});
