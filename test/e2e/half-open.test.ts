/** Sockets that are dead without saying so, agents that sleep, signals that redial, and what waits meanwhile. */
import { afterEach, describe, expect, test } from "vitest";
import { Random } from "../simulation/random.ts";
import { type Direction, FaultRelay } from "../support/fault-relay.ts";
import { type Kind, type Plan, planOf, Traffic } from "../support/traffic.ts";
import { BUSY_MS } from "../support/until.ts";
import { isIdle, useFaultyTunnel } from "../support/use-faulty-tunnel.ts";

const tunnel = useFaultyTunnel();
const random = new Random(1);

let lastId = 0;
const plan = (kind: Kind, fields: Partial<Plan> = {}): Plan => ({
  ...planOf(random, ++lastId, [kind]),
  ...fields,
});

/** Exchanges of each kind that go on for as long as a test needs, and what went wrong with them. */
async function underWay(
  ms: number,
): Promise<{ readonly outcomes: Promise<(string | undefined)[]> }> {
  const beats = Math.ceil(ms / 50);
  const plans = [
    plan("events", { bytes: 100 * beats, pauseMs: 50 }),
    plan("upload", { bytes: 16 * 1024 * beats, pauseMs: 50 }),
    plan("duplex", { bytes: 16 * 1024 * beats, pauseMs: 50 }),
  ];
  const outcomes = Promise.all(plans.map(async (each) => tunnel.traffic.run(each)));
  await tunnel.status(({ agents }) => agents.some(({ streams }) => streams === 3), "all three");
  return { outcomes };
}

afterEach(async () => {
  tunnel.relay.refuses = false;
  tunnel.relay.traps.length = 0;
  tunnel.relay.delayMs = 0;
  await tunnel.status(isIdle, "the edge being idle again", 20_000);
}, 30_000);

test("a socket that swallows what is sent, one way or both, is given up, and what was in flight goes on", async () => {
  const lines: readonly (readonly Direction[])[] = [["up", "down"], ["up"], ["down"]];
  // Each has a service of its own, for the waits are long.
  const gaps = lines.map(async (directions, i) => {
    const service = `line-${i}`;
    const relay = await FaultRelay.start(tunnel.edge.port);
    const { port } = tunnel.origin;
    const agent = await tunnel.edge.agent({ service, port, url: relay.url });
    const traffic = new Traffic(tunnel.edge.place(service));
    const exchange = plan("duplex", { bytes: 16 * 1024 * 60, pauseMs: 50 });
    const outcome = traffic.run(exchange);
    await tunnel.origin.arrived(exchange.id);
    const from = agent.events.length;
    const swallowed = performance.now();
    relay.tunnel.swallow(directions);
    await agent.event("resumed", undefined, from, 20_000);
    const gapMs = performance.now() - swallowed;
    expect(await outcome).toBeUndefined();
    traffic.stop();
    await agent.stop();
    await relay.stop();
    return gapMs;
  });

  // A look and a pong's time: 5 s each, and a dial.
  expect(Math.max(...(await Promise.all(gaps)))).toBeLessThan(10_000 + BUSY_MS);
}, 40_000);

test("a socket that stalls for less than that is the same socket afterwards", async () => {
  const { outcomes } = await underWay(1500);
  const from = tunnel.agent.events.length;
  const { tunnel: passage } = tunnel.relay;
  passage.stall();
  setTimeout(() => passage.resume(), 1000);

  expect(await outcomes).toEqual([undefined, undefined, undefined]);
  expect(tunnel.agent.events.slice(from).filter(({ event }) => event !== "request")).toEqual([]);
});

test("a slow network changes nothing", async () => {
  tunnel.relay.delayMs = 80;
  const { outcomes } = await underWay(500);

  expect(await outcomes).toEqual([undefined, undefined, undefined]);
});

describe("a dial that dies on its way is followed by another, and what was in flight goes on", () => {
  test.for([
    ["in the upgrade's request", { direction: "up", bytes: 1 }],
    ["in the upgrade's answer", { direction: "down", bytes: 1 }],
    ["right behind the agent's HELLO", { direction: "up", messages: 1 }],
    ["right behind the edge's HELLO", { direction: "down", messages: 1 }],
    ["one message later", { direction: "down", messages: 2 }],
  ] as const)("%s", async ([, trap]) => {
    const { outcomes } = await underWay(800);
    const from = tunnel.agent.events.length;
    tunnel.relay.traps.push({ ...trap, cut: "rst" }, { ...trap, cut: "fin" });
    tunnel.relay.tunnel.cut("rst");

    expect(await outcomes).toEqual([undefined, undefined, undefined]);
    expect(tunnel.relay.traps).toEqual([]);
    const told = tunnel.agent.events.slice(from).map(({ event }) => event);
    expect(told.filter((event) => event === "disconnected").length).toBeGreaterThanOrEqual(2);
    expect(told).not.toContain("connected");
  });
});

describe("requests that come while the agent dials again", () => {
  test("wait, and go through", async () => {
    // Something in flight, so that the agent's session is kept and its dials come at once.
    const { outcomes } = await underWay(1000);
    const from = tunnel.agent.events.length;
    tunnel.relay.refuses = true;
    tunnel.relay.cut("rst");
    await tunnel.agent.event("disconnected", ({ code }) => code === "edge-unreachable", from);
    const waiting = Array.from({ length: 20 }, async () => tunnel.traffic.run(plan("small")));
    await tunnel.status((status) => status.waiting === 20, "20 that wait");
    tunnel.relay.refuses = false;

    expect(new Set(await Promise.all(waiting))).toEqual(new Set([undefined]));
    expect(await outcomes).toEqual([undefined, undefined, undefined]);
  });

  test("wait also when nothing was in flight", async () => {
    const from = tunnel.agent.events.length;
    tunnel.relay.refuses = true;
    tunnel.relay.cut("rst");
    await tunnel.agent.event("disconnected", ({ code }) => code === "edge-unreachable", from);
    const waiting = Array.from({ length: 20 }, async () => tunnel.traffic.run(plan("small")));
    await tunnel.status((status) => status.waiting === 20, "20 that wait");
    tunnel.relay.refuses = false;

    expect(new Set(await Promise.all(waiting))).toEqual(new Set([undefined]));
  });
});

test("SIGHUP dials again at once, without harm to what is in flight", async () => {
  const { outcomes } = await underWay(1000);
  for (let i = 0; i < 5; i++) {
    const from = tunnel.agent.events.length;
    tunnel.agent.kill("SIGHUP");
    expect((await tunnel.agent.event("disconnected", undefined, from))["retryMs"]).toBe(0);
    await tunnel.agent.event("resumed", ({ streams }) => streams === 3, from);
  }

  expect(await outcomes).toEqual([undefined, undefined, undefined]);
});

test("an agent that has slept for five seconds dials again within one of waking, and goes on", async () => {
  const { outcomes } = await underWay(2000);
  const from = tunnel.agent.events.length;
  tunnel.agent.kill("SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 5000));
  // A laptop's socket is dead when it wakes: whoever was between has forgotten it.
  tunnel.relay.tunnel.swallow();
  const woken = performance.now();
  tunnel.agent.kill("SIGCONT");
  await tunnel.agent.event("resumed", undefined, from);

  // It looks twice a second; the dial itself is quick here.
  expect(performance.now() - woken).toBeLessThan(1000 + BUSY_MS);
  expect(await outcomes).toEqual([undefined, undefined, undefined]);
});

test("1,000 small requests one after the other cost the edge one message each", async () => {
  const before = tunnel.relay.messages("up");
  for (let i = 0; i < 1000; i++) {
    expect(await tunnel.traffic.run(plan("small"))).toBeUndefined();
  }
  const messages = tunnel.relay.messages("up") - before;

  expect(messages).toBeGreaterThanOrEqual(1000);
  expect(messages).toBeLessThanOrEqual(1010);
}, 60_000);
