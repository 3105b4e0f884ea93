/** Whether the peer is alive, and whether it reads: what it is asked, and when it is given up. */
import { describe, expect, test } from "vitest";
import type { Frame } from "../../codec/frame.ts";
import {
  DEAD_AFTER_MS,
  EDGE_RETAIN_BYTES,
  GRACE_MS,
  PING_AFTER_MS,
  SUSPECT_AFTER_MS,
  UNPROVEN_BYTES,
} from "../../codec/limits.ts";
import { code, get, greeted, post, watchRejections } from "../support/exchanges.ts";
import { agentHello, MemoryTransport, messageOf } from "../support/pair.ts";

watchRejections();

describe("liveness", () => {
  test("asks nothing while nothing is open", async () => {
    const { pair } = await greeted();
    pair.clock.now += 10 * DEAD_AFTER_MS;
    pair.edge.tick();
    expect([pair.edge.transport.turn(), pair.edge.transport.closed]).toEqual([false, undefined]);
  });

  test("asks a silent peer, and gives it up when it stays silent", async () => {
    const { pair } = await greeted();
    const answer = pair.edge.session.open(get).answer().catch(code);
    await pair.settle();
    pair.clock.now += PING_AFTER_MS - 1;
    pair.edge.tick();
    expect(pair.edge.transport.turn()).toBe(false);
    pair.clock.now += 1;
    pair.edge.tick();
    pair.edge.transport.turn();
    expect(pair.edge.transport.frames()).toMatchObject([[{ kind: "ping" }]]);
    pair.clock.now += DEAD_AFTER_MS - PING_AFTER_MS - 1;
    pair.edge.tick();
    expect(pair.edge.transport.closed).toBeUndefined();
    pair.clock.now += 1;
    pair.edge.tick();
    expect([pair.edge.transport.closed?.code, pair.edge.session.streams]).toEqual([1001, 1]);
    pair.pass(GRACE_MS);
    expect(await answer).toBe("agent-stalled");
  });

  test("does not rely on a peer that was asked and is still silent, until it says something", async () => {
    const { pair } = await greeted();
    pair.edge.session.open(get);
    await pair.settle();
    pair.clock.now += SUSPECT_AFTER_MS - 1;
    pair.edge.tick();
    expect(pair.edge.session.suspect).toBe(false);
    pair.clock.now += 1;
    expect([pair.edge.session.suspect, pair.edge.session.ready]).toEqual([true, true]);
    await pair.settle();
    expect(pair.edge.session.suspect).toBe(false);
  });

  test("suspects nobody of whom nothing is wanted", async () => {
    const { pair } = await greeted();
    pair.clock.now += 10 * SUSPECT_AFTER_MS;
    expect(pair.edge.session.suspect).toBe(false);
  });

  test("counts silence anew on a new socket", async () => {
    const { pair } = await greeted();
    pair.edge.session.open(get);
    await pair.settle();
    pair.clock.now += DEAD_AFTER_MS - 1;
    pair.cut();
    pair.redial();
    pair.deliver("edge");
    pair.clock.now += 1;
    pair.edge.tick();
    expect([pair.edge.session.ready, pair.edge.session.suspect]).toEqual([true, false]);
  });

  test("does not measure the path by an answer that crossed from one socket to the next", async () => {
    const { pair } = await greeted();
    pair.edge.session.open(get);
    await pair.settle();
    const { session } = pair.agent;
    pair.clock.now += PING_AFTER_MS;
    session.tick();
    pair.agent.transport.turn();
    pair.cut();
    pair.clock.now += 5000;
    pair.redial();
    await pair.settle();
    expect([session.transport, session.rttMs]).toEqual([pair.agent.transport, 0]);
  });

  test("takes any message for a sign of life", async () => {
    const { pair } = await greeted();
    pair.edge.session.open(get);
    await pair.settle();
    for (let i = 0; i < 20; i++) {
      pair.clock.now += PING_AFTER_MS;
      pair.edge.tick();
      await pair.settle();
    }
    expect(pair.edge.session.ready).toBe(true);
  });

  test("counts silence from when a stream was opened: an agent that was idle for an hour is not dead", async () => {
    const { pair } = await greeted();
    pair.clock.now += 3_600_000;
    pair.edge.session.open(get);
    pair.edge.tick();
    expect(pair.edge.session.ready).toBe(true);
    pair.clock.now += PING_AFTER_MS - 1;
    pair.edge.tick();
    expect(pair.edge.session.ready).toBe(true);
    pair.clock.now += DEAD_AFTER_MS - PING_AFTER_MS + 1;
    pair.edge.tick();
    expect([pair.edge.transport.closed?.code, pair.edge.session.ready]).toEqual([1001, false]);
  });

  test("a second stream does not make a silent peer look alive", async () => {
    const { pair } = await greeted();
    pair.edge.session.open(get);
    pair.clock.now += DEAD_AFTER_MS - 1;
    pair.edge.session.open(get);
    pair.clock.now += 1;
    pair.edge.tick();
    expect(pair.edge.session.ready).toBe(false);
  });
});

describe("a peer whose credit is boundless", () => {
  /** An edge with one upload that the agent gave a GiB of credit, and what it has sent of it. */
  async function uploading(retainBytes = 2 ** 30): Promise<{
    sentBytes: () => number;
    pings: () => number[];
    acknowledge: () => void;
    pong: (token: number) => void;
    resume: (arrived: "nothing" | "everything") => void;
  }> {
    // This agent lies about what it has received too.
    const { pair } = await greeted({ edge: { retainBytes } });
    const edge = pair.edge.session.open(post);
    await pair.settle();
    /** How many numbered messages went before those on the present socket. */
    let before = pair.agent.session.received;
    const receive = (frame: Frame): void => {
      pair.edge.receive(messageOf(frame));
      pair.edge.transport.turn();
    };
    receive({ kind: "credit", stream: edge.stream, bytes: 2 ** 30 });
    for (let i = 0; i < 64; i++) edge.outgoing.write(new Uint8Array(1024 * 1024));
    pair.edge.transport.turn();
    const frames = (): Frame[] => pair.edge.transport.frames().flat();
    return {
      sentBytes: () =>
        frames().reduce((sum, frame) => sum + (frame.kind === "data" ? frame.bytes.length : 0), 0),
      pings: () => frames().flatMap((frame) => (frame.kind === "ping" ? [frame.token] : [])),
      acknowledge: () => {
        receive({ kind: "ack", received: before + pair.edge.transport.sent.length });
      },
      pong: (token) => {
        receive({ kind: "ack", received: before + pair.edge.transport.sent.length });
        receive({ kind: "pong", token });
      },
      resume: (arrived) => {
        const received = before + (arrived === "nothing" ? 0 : pair.edge.transport.sent.length);
        pair.edge.transport = new MemoryTransport(pair.edge.platform);
        pair.edge.listener.accept(pair.edge.transport, "agent");
        receive({ kind: "hello", session: pair.edge.session.id, received, ...agentHello });
        // The edge's HELLO has no number.
        before = received - 1;
      },
    };
  }

  test("gets no more than UNPROVEN_BYTES before it proves that it reads", async () => {
    const { sentBytes } = await uploading();
    expect(sentBytes()).toBeGreaterThan(UNPROVEN_BYTES - 1024 * 1024);
    expect(sentBytes()).toBeLessThan(UNPROVEN_BYTES + 1024 * 1024);
  });

  test("gets more with each proof, and all of it in the end", async () => {
    const { sentBytes, pings, pong } = await uploading();
    let before = sentBytes();
    for (let answered = -1; sentBytes() < 64 * 1024 * 1024;) {
      const token = pings().at(-1) ?? -1;
      expect(token, "it asks anew").not.toBe(answered);
      pong(token);
      answered = token;
      expect(sentBytes()).toBeGreaterThan(before);
      before = sentBytes();
    }
  });

  test("proves nothing by a guess", async () => {
    const { sentBytes, pings, pong } = await uploading();
    const before = sentBytes();
    pong((pings().at(-1) ?? 0) + 1);
    pong(1);
    expect(sentBytes()).toBe(before);
  });

  test("has to prove on a new socket that it reads what is sent there, the second time too", async () => {
    const { sentBytes, pings, acknowledge, pong, resume } = await uploading(EDGE_RETAIN_BYTES);
    const old = pings().at(-1) ?? 0;
    resume("nothing");
    expect(sentBytes()).toBeGreaterThan(EDGE_RETAIN_BYTES - 1024 * 1024);
    for (let before = 0; before < sentBytes();) {
      before = sentBytes();
      acknowledge();
    }
    const unproven = sentBytes();
    expect(unproven).toBeGreaterThan(UNPROVEN_BYTES - 1024 * 1024);
    expect(unproven).toBeLessThan(UNPROVEN_BYTES + 1024 * 1024);
    pong(old);
    expect(sentBytes()).toBe(unproven);
    pong(pings().at(-1) ?? 0);
    expect(sentBytes()).toBeGreaterThan(unproven);
  });

  test("gets as much again on a new socket, when it has received what came before", async () => {
    const { sentBytes, resume } = await uploading();
    resume("everything");
    expect(sentBytes()).toBeGreaterThan(UNPROVEN_BYTES - 1024 * 1024);
    expect(sentBytes()).toBeLessThan(UNPROVEN_BYTES + 1024 * 1024);
  });
});
