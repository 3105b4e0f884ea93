/** Frames to numbered messages and back: what an ACK rides with, when it is asked for, and what is sent again. */
import { describe, expect, test } from "vitest";
import { Budget } from "../../codec/budget.ts";
import type { Frame } from "../../codec/frame.ts";
import {
  ACK_RIDES_BYTES,
  ACK_RIDES_MESSAGES,
  EDGE_RETAIN_BYTES,
  LEAST_RETAINED_BYTES,
  MAX_MESSAGE_BYTES,
  MESSAGE_TARGET_BYTES,
  RETAINED_MESSAGE_BYTES,
} from "../../codec/limits.ts";
import { Messenger, readFrames } from "../../codec/messenger.ts";
import { opened, post, readAll } from "../support/exchanges.ts";
import {
  agentHello,
  framesOf,
  MemoryPlatform,
  MemoryTransport,
  messageOf,
} from "../support/pair.ts";

interface Made {
  readonly messenger: Messenger;
  readonly budget: Budget;
  readonly platform: MemoryPlatform;
  readonly transport: MemoryTransport;
}

/** A messenger with a transport. */
function newMessenger(retainBytes = EDGE_RETAIN_BYTES): Made {
  const platform = new MemoryPlatform({ now: 0 });
  const transport = new MemoryTransport(platform);
  const budget = new Budget();
  const messenger = new Messenger({ platform, budget, retainBytes });
  messenger.attach(transport, 0);
  return { messenger, budget, platform, transport };
}

const data = (size: number): Frame => ({ kind: "data", stream: 1, bytes: new Uint8Array(size) });
const credit: Frame = { kind: "credit", stream: 1, bytes: 1 };
const kinds = ({ sent }: MemoryTransport): string[][] =>
  sent.map((message) => framesOf(message).map(({ kind }) => kind));

/** Gives `frames` one after the other. */
function polled(...frames: Frame[]): () => Frame | undefined {
  return () => frames.shift();
}

/** A message of `frames` has arrived. */
function arrived(messenger: Messenger, ...frames: Frame[]): void {
  messenger.worked(frames, messageOf(...frames).length);
}

describe("a message", () => {
  test("takes frames until it meets its target, and leaves the rest for the next", () => {
    const { messenger, transport } = newMessenger();
    const poll = polled(credit, data(MESSAGE_TARGET_BYTES - 100), data(100), credit);
    const sizes = [messenger.send(poll), messenger.send(poll), messenger.send(poll)];
    expect(sizes).toEqual([...transport.sent.map(({ length }) => length), 0]);
    expect(kinds(transport)).toEqual([["credit", "data", "data"], ["credit"]]);
  });

  test("is kept until it is acknowledged, and its memory is given back then", () => {
    const { messenger, platform, budget } = newMessenger();
    messenger.send(polled(credit));
    messenger.send(polled(credit));
    messenger.acknowledged(1);
    expect([platform.released.length, messenger.accepts(0), messenger.accepts(1)]).toEqual([
      1,
      false,
      true,
    ]);
    messenger.close();
    expect([platform.released.length, messenger.retainedBytes, budget.retainedBytes]).toEqual([
      1, 0, 0,
    ]);
  });

  test("is sent again as it was, on the next transport and in order, if the peer has not got it", () => {
    const { messenger, platform, transport } = newMessenger();
    for (let bytes = 1; bytes <= 3; bytes++) {
      messenger.send(polled({ kind: "credit", stream: 1, bytes }));
    }
    messenger.detach();
    expect(messenger.blocked).toBe(true);
    const next = new MemoryTransport(platform);
    const again = messenger.attach(next, 1);
    expect(next.sent).toEqual(transport.sent.slice(1));
    expect(again).toBe(next.sent.reduce((sum, { length }) => sum + length, 0));
    expect(platform.released).toHaveLength(1);
    // And once more, if that one dies too.
    const third = new MemoryTransport(platform);
    messenger.attach(third, 1);
    expect(third.sent).toEqual(next.sent);
  });

  test("waits while the transport is full", () => {
    const { messenger, transport } = newMessenger();
    transport.full = true;
    expect(messenger.blocked).toBe(true);
    transport.full = false;
    expect(messenger.blocked).toBe(false);
  });

  test("of an ACK alone has no number, and one of anything else has", () => {
    const { messenger } = newMessenger();
    arrived(messenger, { kind: "ack", received: 0 });
    expect(messenger.received).toBe(0);
    arrived(messenger, { kind: "ack", received: 0 }, credit);
    arrived(messenger, credit);
    expect(messenger.received).toBe(2);
  });

  test("above the limit is not read", () => {
    expect(() => readFrames(new Uint8Array(MAX_MESSAGE_BYTES + 1))).toThrow(
      expect.objectContaining({ code: "frame-too-large" }),
    );
  });
});

describe("an ACK", () => {
  test("rides with a message that goes anyway, once it is worth it, and not before", () => {
    const { messenger, transport } = newMessenger();
    for (let i = 1; i < ACK_RIDES_MESSAGES; i++) arrived(messenger, credit);
    messenger.send(polled(credit));
    arrived(messenger, credit);
    messenger.send(polled(credit));
    messenger.send(polled(credit));
    expect(kinds(transport)).toEqual([["credit"], ["ack", "credit"], ["credit"]]);
    expect(transport.frames()[1]?.[0]).toEqual({ kind: "ack", received: ACK_RIDES_MESSAGES });
  });

  test("rides after so many bytes too", () => {
    const { messenger, transport } = newMessenger();
    arrived(messenger, data(ACK_RIDES_BYTES));
    messenger.send(polled(credit));
    expect(kinds(transport)).toEqual([["ack", "credit"]]);
  });

  test("never goes for its own sake, however much has arrived", () => {
    const { messenger, transport } = newMessenger();
    for (let i = 0; i < 10 * ACK_RIDES_MESSAGES; i++) arrived(messenger, data(ACK_RIDES_BYTES));
    expect([messenger.send(polled()), transport.sent]).toEqual([0, []]);
  });

  test("comes with every PONG: the PING may ask for it", () => {
    const { messenger, transport } = newMessenger();
    arrived(messenger, { kind: "ping", token: 1 });
    messenger.send(polled({ kind: "pong", token: 1 }));
    expect(transport.frames()).toEqual([
      [
        { kind: "ack", received: 1 },
        { kind: "pong", token: 1 },
      ],
    ]);
  });

  test("of messages that were never sent is the peer's fault", () => {
    const { messenger } = newMessenger();
    messenger.send(polled(credit));
    messenger.acknowledged(1);
    messenger.acknowledged(0);
    expect(() => messenger.acknowledged(2)).toThrow(
      expect.objectContaining({ code: "protocol-error" }),
    );
  });

  test("that goes alone, because nothing else may, is not kept", () => {
    const { messenger, transport } = newMessenger();
    arrived(messenger, credit);
    expect(messenger.owesAck).toBe(true);
    messenger.acknowledgeAlone();
    expect(transport.frames()).toEqual([[{ kind: "ack", received: 1 }]]);
    expect([messenger.owesAck, messenger.retainedBytes]).toEqual([false, 0]);
  });
});

describe("a peer that acknowledges nothing", () => {
  const size = 10_000;
  const bound = 4 * (size + RETAINED_MESSAGE_BYTES);

  test("is asked at half the bound, once, and sent nothing more at the bound", () => {
    const { messenger, transport } = newMessenger(bound);
    for (let i = 0; i < 10; i++) {
      messenger.askIfDue(7);
      if (!messenger.full) messenger.send(polled(data(size)));
    }
    expect(kinds(transport).flat()).toEqual(["data", "data", "ping", "data", "data"]);
    expect(transport.frames().flat()[2]).toEqual({ kind: "ping", token: 7 });
    expect(messenger.retainedBytes).toBeLessThan(bound + size + RETAINED_MESSAGE_BYTES);
    messenger.acknowledged(1);
    expect(messenger.full).toBe(false);
  });

  test("may be asked though the bound is met", () => {
    const { messenger, transport } = newMessenger(size);
    messenger.send(polled(data(size)));
    expect(messenger.full).toBe(true);
    messenger.askIfDue(7);
    messenger.askIfDue(7);
    expect(kinds(transport)).toEqual([["data"], ["ping"]]);
  });

  test("pauses a session, which its ACK resumes", async () => {
    const { pair, edge, agent } = await opened(post, {
      edge: { retainBytes: 64 * 1024 },
      agent: { introduction: { ...agentHello, credit: 16 * 1024 * 1024 } },
    });
    edge.outgoing.write(new Uint8Array(1024 * 1024));
    edge.outgoing.end();
    pair.edge.transport.turn();
    const waiting = edge.outgoing.queuedBytes;
    expect(waiting).toBeGreaterThan(0);
    pair.edge.session.flush();
    expect(edge.outgoing.queuedBytes).toBe(waiting);
    expect((await readAll(pair, agent)).length).toBe(1024 * 1024);
    expect(pair.edge.session.retainedBytes).toBeLessThan(64 * 1024);
  });
});

describe("a budget that is used up", () => {
  test("leaves a session LEAST_RETAINED_BYTES, and it still gets everything across", async () => {
    const budget = new Budget();
    const { pair, edge, agent } = await opened(post, {
      edge: { budget },
      agent: { introduction: { ...agentHello, credit: 16 * 1024 * 1024 } },
    });
    expect(budget.reserve(budget.freeBytes)).toBe(true);
    const size = 4 * 1024 * 1024;
    edge.outgoing.write(new Uint8Array(size));
    edge.outgoing.end();
    pair.edge.transport.turn();
    expect(pair.edge.session.retainedBytes).toBeGreaterThanOrEqual(LEAST_RETAINED_BYTES);
    expect(pair.edge.session.retainedBytes).toBeLessThan(
      LEAST_RETAINED_BYTES + 2 * MESSAGE_TARGET_BYTES,
    );
    expect((await readAll(pair, agent)).length).toBe(size);
  });

  test("and two ends that are both at their bounds do not wait for each other", async () => {
    const retainBytes = 20_000;
    const { pair, edge, agent } = await opened(post, {
      edge: { retainBytes },
      agent: { retainBytes, introduction: { ...agentHello, credit: 1024 * 1024 } },
    });
    agent.respond({ status: 200, reason: "", headers: [], length: "unknown" });
    await pair.settle();
    for (const { outgoing } of [edge, agent]) {
      outgoing.write(new Uint8Array(60_000));
      outgoing.end();
    }
    // Both have sent all they may before either has heard of it.
    pair.edge.transport.turn();
    pair.agent.transport.turn();
    for (const { session } of [pair.edge, pair.agent]) {
      expect(session.retainedBytes).toBeGreaterThanOrEqual(retainBytes);
    }
    expect((await readAll(pair, agent)).length).toBe(60_000);
    expect((await readAll(pair, edge)).length).toBe(60_000);
  });
});
