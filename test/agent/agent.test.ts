import { afterEach, expect, test } from "vitest";
import { Origin } from "../support/origin.ts";
import { BUSY_MS, within } from "../support/until.ts";
import { FakeEdge } from "./fake-edge.ts";
import { readAll } from "./pair.ts";
import { Run, type RunFlags } from "./run.ts";

let edge: FakeEdge | undefined;
let origin: Origin | undefined;
let running: Run | undefined;

afterEach(async () => {
  running?.agent.stop();
  await running?.exit;
  await edge?.stop();
  await origin?.stop();
});

function launch(flags: RunFlags): Run {
  running = new Run(flags);
  return running;
}

async function start(grace?: string): Promise<{ edge: FakeEdge; origin: Origin; run: Run }> {
  edge = await FakeEdge.start();
  origin = await Origin.start();
  const run = launch({ edge: edge.url, port: origin.port, ...(grace ? { grace } : {}) });
  return { edge, origin, run };
}

const get = { method: "GET", path: "/", headers: [], length: "none" } as const;

test("it says that it is connected, serves, and reports each request", async () => {
  const { edge: fake, run } = await start();
  const { session } = await fake.caller();
  expect(await run.event("connected")).toMatchObject({
    url: `http://127.0.0.1:${fake.port}/send/shop/`,
    service: "shop",
    session: "session-1",
    rttMs: expect.any(Number),
  });
  const exchange = session.open({ ...get, path: "/a?b=c" });
  expect(await exchange.answer()).toMatchObject({ status: 200 });
  expect(await readAll(exchange)).toBe("GET /a?b=c\n");
  expect(await run.event("request")).toMatchObject({
    method: "GET",
    path: "/a?b=c",
    status: 200,
    bytesIn: 0,
    bytesOut: 11,
    outcome: "ok",
    ms: expect.any(Number),
  });
});

test("a lost connection is reported with code and wait, and dialled again with the same id", async () => {
  const { edge: fake, run } = await start();
  const first = await fake.caller();
  first.ws.terminate();
  const lost = await run.event("disconnected");
  expect(lost).toMatchObject({ code: "agent-lost", reason: "the connection broke" });
  expect(lost.retryMs).toBeLessThan(500);
  const second = await fake.caller(1);
  await run.event("connected", 1);
  const id = (caller: typeof first): unknown => caller.request.headers["sluice-agent"];
  expect(id(second)).toBe(id(first));
  expect(id(first)).toMatch(/^[\w-]{22}$/);
});

test.each([401, 403])(
  "a token refused with %i ends it with exit code 4, untried again",
  async (status) => {
    edge = await FakeEdge.start();
    edge.refusal = { status, fields: { "sluice-error": "unauthorized" }, body: "Wrong token.\n" };
    const run = launch({ edge: edge.url, port: 1 });
    expect(await within(run.exit, "its end")).toBe(4);
    expect(await run.event("error")).toMatchObject({
      code: "unauthorized",
      message: expect.stringContaining("it is not what `agent token` prints"),
    });
    expect(edge.upgrades).toHaveLength(1);
  },
);

test("a refused protocol version ends it with exit code 5", async () => {
  edge = await FakeEdge.start();
  edge.refusal = { status: 426, fields: { "sluice-error": "upgrade-required" }, body: "Update.\n" };
  const run = launch({ edge: edge.url, port: 1 });
  expect(await within(run.exit, "its end")).toBe(5);
});

test("whoever is not connected after three dials is told of the doctor, once", async () => {
  edge = await FakeEdge.start();
  edge.refusal = { status: 404, body: "Not here.\n" };
  const run = launch({ edge: edge.url, port: 1 });
  for (let dial = 0; dial < 5; dial++) {
    await run.event("disconnected", dial);
    run.agent.redial("the test does not wait");
  }
  const warnings = run.events.filter(({ event }) => event === "warning");
  expect(warnings).toMatchObject([
    {
      code: "not-connected",
      message: expect.stringContaining("`agent doctor` with the same flags"),
    },
  ]);
  const [third] = warnings;
  expect(run.events.slice(0, third && run.events.indexOf(third)).map(({ event }) => event)).toEqual(
    ["disconnected", "disconnected", "disconnected"],
  );
  edge.refusal = undefined;
  run.agent.redial("the test does not wait");
  await run.event("connected");
});

test("a server that speaks another protocol ends it with exit code 5", async () => {
  edge = await FakeEdge.start();
  edge.protocol = "graphql-ws";
  const run = launch({ edge: edge.url, port: 1 });
  expect(await within(run.exit, "its end")).toBe(5);
});

test("whoever is replaced does not fight: exit code 1", async () => {
  const { edge: fake, run } = await start();
  (await fake.caller()).session.end("replaced");
  expect(await within(run.exit, "its end")).toBe(1);
  expect(await run.event("error")).toMatchObject({ code: "replaced" });
  expect(fake.upgrades).toHaveLength(1);
});

test("other refusals are tried again, with a Retry-After waited for, and SIGHUP ends the wait", async () => {
  edge = await FakeEdge.start();
  edge.refusal = { status: 503, fields: { "retry-after": "60" }, body: "Later.\n" };
  const run = launch({ edge: edge.url, port: 1 });
  const refused = await run.event("disconnected");
  expect(refused).toMatchObject({ code: "http-503", reason: "Later." });
  expect(refused.retryMs).toBeGreaterThanOrEqual(60_000);
  edge.refusal = undefined;
  run.agent.redial("a test");
  await run.event("connected");
});

test("another server at the edge's address is called one, whatever it says", async () => {
  edge = await FakeEdge.start();
  edge.refusal = { status: 404, body: "Not here.\n" };
  const run = launch({ edge: edge.url, port: 1 });
  const { code, reason } = await run.event("disconnected");
  expect([code, reason]).toEqual(["http-404", expect.stringContaining("--edge")]);
});

test("an edge that comes back on its port is found again", async () => {
  const first = await FakeEdge.start();
  const { port } = first;
  const run = launch({ edge: first.url, port: 1 });
  await first.caller();
  await first.stop();
  await run.event("disconnected", 1);
  edge = await FakeEdge.start(port);
  run.agent.redial("a test");
  await edge.caller();
});

test("SIGHUP on a good connection dials a new one", async () => {
  const { edge: fake, run } = await start();
  await fake.caller();
  run.agent.redial("a test");
  await fake.caller(1);
});

test("draining with nothing in flight ends at once with exit code 0", async () => {
  const { edge: fake, run } = await start();
  const caller = await fake.caller();
  await run.event("connected");
  run.agent.drain();
  expect(await within(run.exit, "its end", BUSY_MS)).toBe(0);
  expect(await run.event("draining")).toMatchObject({ inFlight: 0 });
  await fake.until(() => caller.closed, "the close frame");
});

test("draining lets what is in flight finish, and takes nothing new", async () => {
  const { edge: fake, origin: server, run } = await start();
  server.otherwise(({ response }) => response.write("half"));
  const { session } = await fake.caller();
  const exchange = session.open(get);
  await exchange.answer();
  run.agent.drain();
  expect(await run.event("draining")).toMatchObject({ inFlight: 1 });
  await fake.until(() => !session.ready, "GOAWAY at the edge");
  server.log[0]?.response.end(" and half");
  expect(await readAll(exchange)).toBe("half and half");
  expect(await within(run.exit, "its end")).toBe(0);
});

test("draining ends only when the edge has read all that was sent", async () => {
  const { edge: fake, run } = await start();
  const caller = await fake.caller();
  await run.event("connected");
  caller.ws.pause();
  run.agent.drain();
  await expect(within(run.exit, "its end", 300)).rejects.toThrow("in vain");
  caller.ws.resume();
  expect(await within(run.exit, "its end", BUSY_MS)).toBe(0);
});

test("draining cuts what is not finished when the grace is over", async () => {
  const { edge: fake, origin: server, run } = await start("100ms");
  server.otherwise(({ response }) => response.write("half"));
  const { session } = await fake.caller();
  const exchange = session.open(get);
  await exchange.answer();
  run.agent.drain();
  await expect(readAll(exchange)).rejects.toMatchObject({ code: expect.stringMatching(/./) });
  expect(await within(run.exit, "its end")).toBe(0);
});

test("stopping ends everything at once", async () => {
  const { edge: fake, origin: server, run } = await start();
  server.otherwise(({ response }) => response.write("half"));
  const { session } = await fake.caller();
  const exchange = session.open(get);
  await exchange.answer();
  run.agent.drain();
  run.agent.stop();
  await expect(readAll(exchange)).rejects.toThrow();
  expect(await within(run.exit, "its end", BUSY_MS)).toBe(0);
  await server.log[0]?.gone();
});

test("draining while it waits to dial again ends it", async () => {
  const gone = await FakeEdge.start();
  await gone.stop();
  const run = launch({ edge: gone.url, port: 1 });
  expect(await run.event("disconnected")).toMatchObject({ code: "edge-unreachable" });
  run.agent.drain();
  expect(await within(run.exit, "its end", BUSY_MS)).toBe(0);
});
