/** A session outlives its sockets: what goes on, what waits, what fails, and who is refused. */
import { describe, expect, test, vi } from "vitest";
import { errors, type TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { Frame } from "../../codec/frame.ts";
import { DEAD_AFTER_MS, EDGE_RETAIN_BYTES, GRACE_MS } from "../../codec/limits.ts";
import { patterned } from "../support/arbitraries.ts";
import { code, get, ok, opened, post, readAll, watchRejections } from "../support/exchanges.ts";
import { agentHello, MemoryTransport, messageOf, SessionPair } from "../support/pair.ts";

const refused = 4000 + errors["protocol-error"].wire;

watchRejections();

describe("after a cut", () => {
  test("an exchange goes on where it was, both ways", async () => {
    const { pair, edge, agent, connected } = await opened();
    edge.outgoing.write(patterned(1000, 1));
    pair.edge.transport.turn();
    agent.respond(ok);
    agent.outgoing.write(patterned(2000, 2));
    pair.agent.transport.turn();
    // All of it was on its way.
    pair.cut();
    expect([edge.error, agent.error, pair.edge.session.ready]).toEqual([
      undefined,
      undefined,
      false,
    ]);
    edge.outgoing.end();
    agent.outgoing.end();
    pair.redial();
    await pair.settle();
    expect(await edge.answer()).toEqual(ok);
    expect(await readAll(pair, agent)).toEqual(Buffer.from(patterned(1000, 1)));
    expect(await readAll(pair, edge)).toEqual(Buffer.from(patterned(2000, 2)));
    expect(connected.map(([, resumed]) => resumed)).toEqual([false, true]);
    for (const { session } of [pair.edge, pair.agent]) {
      expect([session.streams, session.promisedBytes]).toEqual([0, 0]);
    }
  });

  test("the rest of a request goes on that was on its way when its answer was complete", async () => {
    const { pair, edge, agent, connected } = await opened();
    agent.respond({ ...ok, length: "none" });
    await pair.settle();
    edge.outgoing.write(patterned(1000, 1));
    edge.outgoing.end();
    pair.edge.transport.turn();
    // No stream is left at the edge, and the agent has nothing of the body.
    expect([pair.edge.session.streams, pair.edge.session.unfinished]).toEqual([0, true]);
    pair.cut();
    pair.redial();
    await pair.settle();
    expect(await readAll(pair, agent)).toEqual(Buffer.from(patterned(1000, 1)));
    expect(connected.map(([, resumed]) => resumed)).toEqual([false, true]);
  });

  test("what only one end has noticed, the exchange goes on too", async () => {
    for (const who of ["agent", "edge"] as const) {
      const { pair, edge, agent } = await opened();
      agent.respond(ok);
      agent.outgoing.write(patterned(100, 1));
      pair.agent.transport.turn();
      pair.cut(who);
      const before = pair.edge.transport;
      pair.redial();
      agent.outgoing.end();
      expect((await readAll(pair, edge)).length).toBe(100);
      if (who === "agent") expect(before.closed?.code).toBe(1000);
    }
  });

  test("a socket that was replaced is not listened to any more", async () => {
    const { pair, edge } = await opened();
    const before = pair.edge.transport;
    pair.cut("agent");
    pair.redial();
    await pair.settle();
    pair.edge.listener.receive(
      before,
      messageOf({ kind: "cancel", stream: 1, code: "cancelled", note: "" }),
    );
    pair.edge.listener.lost(before, 1006, "");
    expect([edge.error, pair.edge.session.ready]).toEqual([undefined, true]);
  });

  test("a round trip is not measured across the gap", async () => {
    const { pair, edge, agent } = await opened();
    pair.clock.now += DEAD_AFTER_MS - 1;
    pair.edge.tick();
    pair.edge.transport.turn();
    pair.cut();
    pair.clock.now += 5000;
    pair.redial();
    await pair.settle();
    agent.respond({ ...ok, length: "none" });
    await pair.settle();
    expect([edge.error, pair.edge.session.rttMs]).toEqual([undefined, 0]);
  });

  test("a session with nothing under way is not kept, and the next one serves", async () => {
    const { pair, edge, agent, accepted, connected } = await opened(get);
    agent.respond({ ...ok, length: "none" });
    await pair.settle();
    await edge.answer();
    pair.cut();
    expect(pair.edge.platform.timers).toBe(0);
    pair.redial();
    await pair.settle();
    expect(connected.map(([{ id }, resumed]) => [id, resumed])).toEqual([
      ["s1", false],
      ["s2", false],
    ]);
    pair.edge.session.open(get);
    await pair.settle();
    expect(accepted).toHaveLength(2);
  });

  test("no new exchange is opened before the agent is back", async () => {
    const { pair } = await opened();
    pair.cut();
    expect(() => pair.edge.session.open(get)).toThrow(
      expect.objectContaining({ code: "agent-offline" }),
    );
  });
});

describe("a socket that dies during the HELLO", () => {
  test("before the edge has heard it, costs nothing", async () => {
    const { pair, edge, agent } = await opened();
    pair.cut();
    pair.redial();
    pair.cut();
    pair.redial();
    await pair.settle();
    agent.respond({ ...ok, length: "none" });
    await pair.settle();
    expect(await edge.answer()).toMatchObject({ status: 200 });
  });

  test("before the agent has heard the answer, costs nothing", async () => {
    const { pair, edge, agent } = await opened();
    agent.respond({ ...ok, length: "none" });
    pair.agent.transport.turn();
    pair.cut();
    pair.redial();
    pair.deliver("edge");
    pair.cut();
    pair.redial();
    await pair.settle();
    expect([await edge.answer(), edge.error]).toMatchObject([{ status: 200 }, undefined]);
  });

  test("of the first socket of all leaves a session that the next socket takes over", async () => {
    const accepted: Exchange[] = [];
    const pair = new SessionPair({ agent: { accept: (exchange) => accepted.push(exchange) } });
    pair.greet();
    pair.deliver("edge");
    const edge = pair.edge.session.open(get);
    pair.edge.transport.turn();
    pair.cut();
    pair.redial();
    await pair.settle();
    expect([pair.edge.session.id, accepted.length, edge.error]).toEqual(["s1", 1, undefined]);
  });
});

describe("the grace", () => {
  test("ends every exchange of an agent that does not come back, on both ends", async () => {
    const { pair, edge, agent } = await opened();
    const answer = edge.answer().catch(code);
    pair.cut();
    pair.pass(GRACE_MS - 1);
    expect([edge.error, agent.error]).toEqual([undefined, undefined]);
    pair.pass(1);
    expect([await answer, agent.error?.code]).toEqual(["agent-lost", "agent-lost"]);
    expect([pair.edge.session.promisedBytes, pair.agent.session.promisedBytes]).toEqual([0, 0]);
    expect([pair.edge.platform.timers, pair.agent.platform.timers]).toEqual([0, 0]);
  });

  test("is over when the agent is back", async () => {
    const { pair, edge, agent } = await opened();
    pair.cut();
    pair.pass(GRACE_MS - 1);
    pair.redial();
    await pair.settle();
    pair.pass(GRACE_MS);
    expect([edge.error, agent.error]).toEqual([undefined, undefined]);
  });

  test("begins when an agent was silent for too long", async () => {
    const { pair, edge } = await opened();
    pair.clock.now += DEAD_AFTER_MS;
    pair.edge.tick();
    expect([edge.error, pair.edge.session.ready]).toEqual([undefined, false]);
    pair.pass(GRACE_MS);
    expect(edge.error?.code).toBe("agent-stalled");
  });

  test("is not for an agent that says goodbye", async () => {
    const { pair, edge } = await opened();
    pair.agent.dialer.end("shutting-down", "");
    const { code: said = 0, reason = "" } = pair.agent.transport.closed ?? {};
    pair.edge.listener.lost(pair.edge.transport, said, reason);
    expect([edge.error?.code, pair.edge.platform.timers]).toEqual(["shutting-down", 0]);
  });

  test("ends as offline what the agent never heard of: it may go elsewhere", async () => {
    const { pair } = await opened();
    const unheard = pair.edge.session.open(get);
    pair.cut();
    pair.pass(GRACE_MS);
    expect(unheard.error?.code).toBe("agent-offline");
  });
});

describe("an edge that was reset", () => {
  test("makes the agent's exchanges fail at once, and serves on", async () => {
    const { pair, agent, accepted } = await opened();
    const onCancel = vi.fn<(error: TunnelError) => void>();
    agent.onCancel = onCancel;
    pair.cut("agent");
    pair.edge.reset();
    pair.redial();
    await pair.settle();
    expect(onCancel).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ code: "agent-lost" }),
    );
    const next = pair.edge.session.open(get);
    await pair.settle();
    accepted[1]?.respond({ ...ok, length: "none" });
    await pair.settle();
    expect(await next.answer()).toMatchObject({ status: 200 });
  });

  test("hears from a draining agent that it drains", async () => {
    const { pair } = await opened();
    pair.agent.dialer.drain("SIGTERM");
    pair.cut("agent");
    pair.edge.reset();
    pair.redial();
    await pair.settle();
    expect(pair.edge.session.ready).toBe(false);
  });
});

describe("a resume that is not right", () => {
  /** Another socket of `identity` that says this HELLO. Returns how it was closed. */
  function forge(
    pair: SessionPair,
    hello: { readonly session: string; readonly received: number },
    identity = "agent",
  ): MemoryTransport {
    const transport = new MemoryTransport(pair.edge.platform);
    pair.edge.listener.accept(transport, identity);
    pair.edge.listener.receive(transport, messageOf({ kind: "hello", ...agentHello, ...hello }));
    return transport;
  }

  test.each([
    ["claims what was never sent", "s1", 1000],
    ["has forgotten what it acknowledged", "s1", 0],
  ])("because it %s is refused, and harms nobody", async (_, session, received) => {
    const { pair, edge, agent } = await opened();
    for (let i = 0; i < 40; i++) {
      // So many messages that the agent acknowledges some.
      pair.edge.session.open(get).cancel("cancelled");
      await pair.settle();
      agent.onCancel = undefined;
    }
    agent.respond(ok);
    await pair.settle();
    const transport = forge(pair, { session, received });
    expect(transport.closed?.code).toBe(refused);
    agent.outgoing.end();
    await pair.settle();
    expect([edge.error, edge.incoming.complete]).toEqual([undefined, true]);
  });

  test("because somebody else says it gets a session of its own", async () => {
    const { pair, edge } = await opened();
    const transport = forge(pair, { session: "s1", received: 0 }, "somebody else");
    expect(transport.closed).toBeUndefined();
    expect([pair.edge.listener.size, edge.error, pair.edge.transport.closed]).toEqual([
      2,
      undefined,
      undefined,
    ]);
  });

  test("because it names no session gets one of its own; the one before finishes what it has", async () => {
    const { pair, edge, agent } = await opened();
    forge(pair, { session: "nonsense", received: 7 });
    const [before, now] = pair.edge.listener.members;
    expect([before?.eclipsed, now?.eclipsed]).toEqual([true, false]);
    agent.respond({ ...ok, length: "none" });
    await pair.settle();
    expect(await edge.answer()).toMatchObject({ status: 200 });
  });

  test("because its HELLO comes late, over a socket from before the last, is not heard", async () => {
    const { pair, edge } = await opened();
    const late = new MemoryTransport(pair.edge.platform);
    pair.edge.listener.accept(late, "agent");
    pair.cut();
    pair.redial();
    await pair.settle();
    // No code of the error table: it might be the agent's latest socket, and then its session has to go on.
    expect(late.closed?.code).toBe(1001);
    pair.edge.listener.receive(
      late,
      messageOf({ kind: "hello", session: "s1", received: 0, ...agentHello }),
    );
    expect([edge.error, pair.edge.session.ready]).toEqual([undefined, true]);
  });

  test("because the edge claims what was never sent ends the agent's session", async () => {
    const { pair, agent } = await opened();
    pair.cut();
    pair.redial();
    const hello: Frame = { kind: "hello", session: "s1", received: 99, ...agentHello };
    pair.agent.receive(messageOf(hello));
    expect([agent.error?.code, pair.agent.transport.closed?.code]).toEqual([
      "protocol-error",
      refused,
    ]);
  });
});

test("an agent that comes back over another socket while the edge sleeps is served there", async () => {
  const { pair, edge, agent, accepted } = await opened(get);
  agent.respond({ ...ok, length: "none" });
  await pair.settle();
  await edge.answer();
  pair.hibernate();
  pair.cut("agent");
  pair.redial();
  await pair.settle();
  const next = pair.edge.session.open(get);
  await pair.settle();
  accepted[1]?.respond({ ...ok, length: "none" });
  await pair.settle();
  expect(await next.answer()).toMatchObject({ status: 200 });
});

test("a peer that acknowledges nothing pauses the sender, and is asked", async () => {
  const { pair, edge } = await opened(post, {
    agent: { introduction: { ...agentHello, credit: 16 * 1024 * 1024 } },
  });
  for (let i = 0; i < 30; i++) edge.outgoing.write(new Uint8Array(512 * 1024));
  pair.edge.transport.turn();
  const sent = pair.edge.transport.frames().flat();
  expect(pair.edge.session.retainedBytes).toBeGreaterThanOrEqual(EDGE_RETAIN_BYTES);
  expect(pair.edge.session.retainedBytes).toBeLessThan(EDGE_RETAIN_BYTES + 512 * 1024);
  expect(sent.filter(({ kind }) => kind === "ping").length).toBeGreaterThan(0);
  await pair.settle();
  expect(edge.outgoing.queuedBytes).toBe(0);
});
