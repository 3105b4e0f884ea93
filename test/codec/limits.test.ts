/** Every limit, on both sides of it: at the limit all is well, one beyond it is refused with the right code. */
import { encode } from "@msgpack/msgpack";
import { describe, expect, test } from "vitest";
import { Budget } from "../../codec/budget.ts";
import { ReceiveCredit, SendCredit } from "../../codec/credit.ts";
import { errors, TunnelError } from "../../codec/errors.ts";
import type { Frame, Hello, RequestHead, ResponseHead } from "../../codec/frame.ts";
import * as limits from "../../codec/limits.ts";
import { Link } from "../../codec/link.ts";
import { Mux } from "../../codec/mux.ts";
import { MessageWriter } from "../../codec/wire.ts";
import {
  agentHello,
  type Clock,
  EdgeEnd,
  type EdgeOptions,
  framesOf,
  messageOf,
  SessionPair,
} from "../support/pair.ts";

const get: RequestHead = { method: "GET", path: "/", headers: [], length: "none" };
const ok: ResponseHead = { status: 200, reason: "", headers: [], length: "unknown" };
const { MAX_HEADER_FIELDS, MAX_STREAM_ID, MAX_CREDIT_BYTES, BUDGET_BYTES } = limits;

/** The code with which `act` is refused; undefined when it is not. */
function refusal(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof TunnelError) return error.code;
    throw error;
  }
}

/** The code with which a frame of these fields is refused on its way in. */
function refusalOf(...fields: unknown[]): string | undefined {
  return refusal(() => framesOf(encode(fields)));
}

/** A greeted edge that has one exchange open. */
function edge(
  hello: Partial<Hello> = {},
  options: EdgeOptions = {},
): { end: EdgeEnd; clock: Clock } {
  const clock = { now: 0 };
  const end = new EdgeEnd(clock, options);
  end.listener.accept(end.transport, "agent");
  end.receive(messageOf({ kind: "hello", session: "", received: 0, ...agentHello, ...hello }));
  end.transport.turn();
  end.transport.sent.length = 0;
  return { end, clock };
}

function accepting(acceptStreams: number, budget = new Budget()): Mux<never> {
  return new Mux({ acceptStreams, requestCreditBytes: limits.REQUEST_CREDIT_BYTES, budget });
}

function request(stream: number, head: RequestHead = get): Frame & { kind: "request" } {
  return { kind: "request", stream, credit: 0, head };
}

/** The code with which `mux` refuses a request. */
function refusedBy(mux: Mux<never>, frame: Frame & { kind: "request" }): string | undefined {
  if (mux.receive(frame, 0)?.kind === "opened") return undefined;
  const answer = mux.poll();
  if (answer?.kind !== "cancel") throw new Error("neither opened nor refused");
  return answer.code;
}

/** The close code of an edge that has received `message`. */
function closedBy(message: Uint8Array): number | undefined {
  const { end } = edge();
  end.receive(message);
  return end.transport.closed?.code;
}

/** An extension frame of exactly `size` bytes, which a receiver skips. */
function extension(size: number): Uint8Array {
  const frame = new Uint8Array(size).fill(0x61);
  frame.set([0x92, 0x40, 0xda, (size - 5) >> 8, size - 5]);
  return frame;
}

/** A message of exactly `size` bytes, of extension frames. */
function message(size: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let left = size; left > 0;) {
    const part = left > 120_000 ? 60_000 : left > 60_000 ? Math.floor(left / 2) : left;
    parts.push(extension(part));
    left -= part;
  }
  return Uint8Array.from(Buffer.concat(parts));
}

/** The sizes of the DATA frames that a mux sends for `count` streams which have much to say each. */
function dataSizes(count: number): number[] {
  const mux = accepting(100);
  for (let stream = 1; stream <= count; stream++) {
    const event = mux.receive({ ...request(stream), credit: MAX_CREDIT_BYTES }, 0);
    if (event?.kind !== "opened") throw new Error("not opened");
    mux.respond(event.stream, ok);
    mux.write(event.stream, new Uint8Array(1_000_000));
  }
  const sizes: number[] = [];
  for (let frame = mux.poll(); sizes.length < 8; frame = mux.poll()) {
    if (frame?.kind === "data") sizes.push(frame.bytes.length);
  }
  return sizes;
}

/** So many requests at once, and the last of them waits for others. */
const COALESCED = limits.COALESCE_BESIDE + 2;

/** How many of `count` requests, opened one after the other, have left `ms` later. */
function leftAtOnce(count: number, ms: number): number {
  const { end, clock } = edge();
  for (let i = 0; i < count; i++) {
    end.session.open(get);
    end.transport.turn();
  }
  clock.now += ms;
  end.platform.ring();
  end.transport.turn();
  return end.transport
    .frames()
    .flat()
    .filter(({ kind }) => kind === "request").length;
}

/** What is true at each limit, and what is true one beyond. A limit without an entry does not compile. */
const sides: Record<keyof typeof limits, readonly [at: () => void, beyond: () => void]> = {
  PROTOCOL: [
    () => expect(limits.PROTOCOL).toMatch(/^[a-z]+\.v[0-9]+$/),
    () => expect(errors["upgrade-required"].says).toContain(limits.PROTOCOL),
  ],
  MAX_MESSAGE_BYTES: [
    () => expect(closedBy(message(limits.MAX_MESSAGE_BYTES))).toBeUndefined(),
    () =>
      expect(closedBy(message(limits.MAX_MESSAGE_BYTES + 1))).toBe(
        4000 + errors["frame-too-large"].wire,
      ),
  ],
  MESSAGE_TARGET_BYTES: [
    () => expect(answerMessages(limits.MESSAGE_TARGET_BYTES - 12 * 4 - 100)).toHaveLength(1),
    () => {
      const sizes = answerMessages(4 * limits.MESSAGE_TARGET_BYTES);
      expect(sizes.length).toBeGreaterThan(3);
      for (const size of sizes) {
        expect(size).toBeLessThan(limits.MESSAGE_TARGET_BYTES + limits.ALONE_DATA_BYTES + 100);
      }
    },
  ],
  MAX_DATA_BYTES: [
    () => expect(refusalOf(3, 1, new Uint8Array(limits.MAX_DATA_BYTES))).toBeUndefined(),
    () =>
      expect(refusalOf(3, 1, new Uint8Array(limits.MAX_DATA_BYTES + 1))).toBe("frame-too-large"),
  ],
  HEADROOM_BYTES: [
    () => expect(headroomLeft(limits.MAX_STREAM_ID, limits.MAX_DATA_BYTES)).toBe(0),
    // A smaller header leaves some of it.
    () => expect(headroomLeft(limits.MAX_STREAM_ID, 0xffff)).toBe(2),
  ],
  ALONE_DATA_BYTES: [
    () => expect(Math.max(...dataSizes(1))).toBe(limits.ALONE_DATA_BYTES),
    () => expect(Math.min(...dataSizes(1))).toBe(limits.ALONE_DATA_BYTES),
  ],
  SHARED_DATA_BYTES: [
    () => expect(Math.max(...dataSizes(3))).toBe(limits.SHARED_DATA_BYTES),
    () => expect(Math.min(...dataSizes(3))).toBe(limits.SHARED_DATA_BYTES),
  ],
  MAX_HEAD_BYTES: [
    () => {
      expect(refusal(() => framesOf(extension(limits.MAX_HEAD_BYTES)))).toBeUndefined();
      const { session } = edge().end;
      const headers = ["a", "b".repeat(limits.MAX_HEAD_BYTES - 200)];
      expect(refusal(() => session.open({ ...get, headers }))).toBeUndefined();
    },
    () => {
      expect(refusal(() => framesOf(extension(limits.MAX_HEAD_BYTES + 1)))).toBe("frame-too-large");
      const { session } = edge().end;
      const headers = ["a", "b".repeat(limits.MAX_HEAD_BYTES)];
      expect(refusal(() => session.open({ ...get, headers }))).toBe("head-too-large");
    },
  ],
  MAX_HEADER_FIELDS: [
    () => {
      const headers = Array<string>(2 * MAX_HEADER_FIELDS).fill("a");
      expect(refusalOf(1, 1, 0, "GET", "/", null, headers)).toBeUndefined();
      expect(refusalOf(4, 1, headers)).toBeUndefined();
      expect(refusal(() => edge().end.session.open({ ...get, headers }))).toBeUndefined();
    },
    () => {
      const headers = Array<string>(2 * MAX_HEADER_FIELDS + 2).fill("a");
      expect(refusalOf(1, 1, 0, "GET", "/", null, headers)).toBe("frame-too-large");
      expect(refusalOf(4, 1, headers)).toBe("frame-too-large");
      expect(refusal(() => edge().end.session.open({ ...get, headers }))).toBe("head-too-large");
    },
  ],
  MAX_METHOD_CHARS: [
    () => {
      const method = "M".repeat(limits.MAX_METHOD_CHARS);
      expect(refusalOf(1, 1, 0, method, "/", null, [])).toBeUndefined();
      expect(refusal(() => edge().end.session.open({ ...get, method }))).toBeUndefined();
    },
    () => {
      const method = "M".repeat(limits.MAX_METHOD_CHARS + 1);
      expect(refusalOf(1, 1, 0, method, "/", null, [])).toBe("protocol-error");
      expect(refusal(() => edge().end.session.open({ ...get, method }))).toBe("bad-request");
    },
  ],
  MAX_PATH_CHARS: [
    () => {
      const path = "/".padEnd(limits.MAX_PATH_CHARS, "a");
      expect(refusalOf(1, 1, 0, "GET", path, null, [])).toBeUndefined();
      expect(refusal(() => edge().end.session.open({ ...get, path }))).toBeUndefined();
    },
    () => {
      const path = "/".padEnd(limits.MAX_PATH_CHARS + 1, "a");
      expect(refusalOf(1, 1, 0, "GET", path, null, [])).toBe("protocol-error");
      expect(refusal(() => edge().end.session.open({ ...get, path }))).toBe("bad-request");
    },
  ],
  MAX_NOTE_CHARS: [
    () => expect(refusalOf(5, 1, 1, "n".repeat(limits.MAX_NOTE_CHARS))).toBeUndefined(),
    () => {
      const note = "n".repeat(limits.MAX_NOTE_CHARS + 1);
      expect(refusalOf(5, 1, 1, note)).toBe("protocol-error");
      expect(refusalOf(9, 1, 1, note)).toBe("protocol-error");
      // Our own are cut to it.
      const [read] = framesOf(messageOf({ kind: "goaway", last: 1, code: "draining", note }));
      expect(read).toMatchObject({ note: note.slice(1) });
    },
  ],
  MAX_NAME_CHARS: [
    () => {
      const name = "n".repeat(limits.MAX_NAME_CHARS);
      expect(refusalOf(0, name, 0, 1, 1, 1, name)).toBeUndefined();
    },
    () => {
      const name = "n".repeat(limits.MAX_NAME_CHARS + 1);
      expect(refusalOf(0, name, 0, 1, 1, 1, "x")).toBe("protocol-error");
      expect(refusalOf(0, "x", 0, 1, 1, 1, name)).toBe("protocol-error");
    },
  ],
  MAX_STREAMS: [
    () => {
      const mux = accepting(limits.MAX_STREAMS);
      for (let id = 1; id <= limits.MAX_STREAMS; id++) {
        expect(refusedBy(mux, request(id, { ...get, length: "unknown" }))).toBeUndefined();
      }
      expect(mux.budget.usedBytes).toBeLessThanOrEqual(BUDGET_BYTES);
    },
    () => {
      const mux = accepting(limits.MAX_STREAMS);
      for (let id = 1; id <= limits.MAX_STREAMS; id++) mux.receive(request(id), 0);
      expect(refusedBy(mux, request(limits.MAX_STREAMS + 1))).toBe("overloaded");
    },
  ],
  MAX_STREAM_ID: [
    () => {
      expect(refusalOf(1, MAX_STREAM_ID, 0, "GET", "/", null, [])).toBeUndefined();
      const mux = accepting(1);
      expect([mux.receive(request(MAX_STREAM_ID - 1), 0)?.kind, mux.exhausted]).toEqual([
        "opened",
        false,
      ]);
    },
    () => {
      expect(refusalOf(1, MAX_STREAM_ID + 1, 0, "GET", "/", null, [])).toBe("protocol-error");
      const mux = accepting(1);
      expect([mux.receive(request(MAX_STREAM_ID), 0)?.kind, mux.exhausted]).toEqual([
        "opened",
        true,
      ]);
      expect(refusal(() => mux.open(get, 0))).toBe("draining");
    },
  ],
  MAX_CREDIT_BYTES: [
    () => {
      expect(refusalOf(6, 1, MAX_CREDIT_BYTES)).toBeUndefined();
      const mux = accepting(1);
      mux.receive({ ...request(1), credit: MAX_CREDIT_BYTES - 1 }, 0);
      expect(mux.receive({ kind: "credit", stream: 1, bytes: 1 }, 0)?.kind).toBe("credited");
      expect(new SendCredit(0).add(MAX_CREDIT_BYTES)).toBe(true);
    },
    () => {
      expect(refusalOf(6, 1, MAX_CREDIT_BYTES + 1)).toBe("protocol-error");
      const mux = accepting(1);
      mux.receive({ ...request(1), credit: MAX_CREDIT_BYTES }, 0);
      expect(refusal(() => mux.receive({ kind: "credit", stream: 1, bytes: 1 }, 0))).toBe(
        "flow-control-error",
      );
    },
  ],
  BUDGET_BYTES: [
    () => expect(new Budget().reserve(BUDGET_BYTES)).toBe(true),
    () => {
      const budget = new Budget();
      budget.reserve(BUDGET_BYTES);
      expect(refusedBy(accepting(1, budget), request(1, { ...get, length: 1 }))).toBe("overloaded");
      const mux = accepting(0, budget);
      mux.allow(1, 0);
      expect(refusal(() => mux.open(get, 0))).toBe("overloaded");
    },
  ],
  INITIAL_WINDOW_BYTES: windowSides(limits.INITIAL_WINDOW_BYTES, 0),
  BUSY_WINDOW_BYTES: windowSides(limits.BUSY_WINDOW_BYTES, BUDGET_BYTES / 2),
  MIN_WINDOW_BYTES: windowSides(limits.MIN_WINDOW_BYTES, BUDGET_BYTES - limits.MIN_WINDOW_BYTES),
  MAX_WINDOW_BYTES: [
    () =>
      expect(new Budget(BUDGET_BYTES * 8).grow(0, limits.MAX_WINDOW_BYTES, "proven")).toBe(
        limits.MAX_WINDOW_BYTES,
      ),
    () =>
      expect(new Budget(BUDGET_BYTES * 8).grow(0, limits.MAX_WINDOW_BYTES + 1, "proven")).toBe(
        limits.MAX_WINDOW_BYTES,
      ),
  ],
  STEADY_READER_MS: [
    () => expect(busyGrowthAfter(limits.STEADY_READER_MS)).toBeGreaterThan(0),
    () => expect(busyGrowthAfter(limits.STEADY_READER_MS - 1)).toBe(0),
  ],
  PROVEN_READER_BYTES: [
    () => expect(scarceGrowthAfter(limits.PROVEN_READER_BYTES)).toBeGreaterThan(0),
    () => expect(scarceGrowthAfter(limits.PROVEN_READER_BYTES - 1)).toBe(0),
  ],
  REQUEST_CREDIT_BYTES: [
    () => {
      const mux = accepting(1);
      mux.receive(request(1, { ...get, length: "unknown" }), 0);
      const bytes = new Uint8Array(limits.REQUEST_CREDIT_BYTES);
      expect(mux.receive({ kind: "data", stream: 1, bytes }, 0)?.kind).toBe("arrived");
    },
    () => {
      const mux = accepting(1);
      mux.receive(request(1, { ...get, length: "unknown" }), 0);
      const bytes = new Uint8Array(limits.REQUEST_CREDIT_BYTES + 1);
      expect(refusal(() => mux.receive({ kind: "data", stream: 1, bytes }, 0))).toBe(
        "flow-control-error",
      );
    },
  ],
  MIN_RTT_MS: [
    () =>
      expect(windowAfterRoundTrip(limits.MIN_RTT_MS)).toBeGreaterThan(limits.INITIAL_WINDOW_BYTES),
    () => expect(windowAfterRoundTrip(limits.MIN_RTT_MS - 1)).toBe(limits.INITIAL_WINDOW_BYTES),
  ],
  // What each side of it means is tested with sessions: see "a peer whose credit is boundless" in session.test.ts.
  UNPROVEN_BYTES: [
    () => expect(limits.UNPROVEN_BYTES).toBeGreaterThan(limits.MAX_MESSAGE_BYTES),
    () => expect(limits.UNPROVEN_BYTES).toBeLessThan(limits.BUDGET_BYTES),
  ],
  COALESCE_BESIDE: [
    () => expect(leftAtOnce(limits.COALESCE_BESIDE, 0)).toBe(limits.COALESCE_BESIDE),
    () => expect(leftAtOnce(limits.COALESCE_BESIDE + 2, 0)).toBe(limits.COALESCE_BESIDE + 1),
  ],
  COALESCE_MS: [
    () => expect(leftAtOnce(COALESCED, limits.COALESCE_MS)).toBe(COALESCED),
    () => expect(leftAtOnce(COALESCED, limits.COALESCE_MS / 2)).toBe(COALESCED - 1),
  ],
  COALESCED_REQUESTS: [
    () =>
      expect(leftAtOnce(COALESCED - 1 + limits.COALESCED_REQUESTS, 0)).toBe(
        COALESCED - 1 + limits.COALESCED_REQUESTS,
      ),
    () =>
      expect(leftAtOnce(COALESCED + limits.COALESCED_REQUESTS, 0)).toBe(
        COALESCED - 1 + limits.COALESCED_REQUESTS,
      ),
  ],
  AGENT_RETAIN_BYTES: [
    () => expect(isFull(limits.AGENT_RETAIN_BYTES, limits.AGENT_RETAIN_BYTES - 1)).toBe(false),
    () => expect(isFull(limits.AGENT_RETAIN_BYTES, limits.AGENT_RETAIN_BYTES)).toBe(true),
  ],
  EDGE_RETAIN_BYTES: [
    () => expect(isFull(limits.EDGE_RETAIN_BYTES, limits.EDGE_RETAIN_BYTES - 1)).toBe(false),
    () => expect(isFull(limits.EDGE_RETAIN_BYTES, limits.EDGE_RETAIN_BYTES)).toBe(true),
  ],
  LEAST_RETAINED_BYTES: [
    () => {
      const used = BUDGET_BYTES;
      expect(isFull(limits.EDGE_RETAIN_BYTES, limits.LEAST_RETAINED_BYTES - 1, used)).toBe(false);
    },
    () => {
      const used = BUDGET_BYTES;
      expect(isFull(limits.EDGE_RETAIN_BYTES, limits.LEAST_RETAINED_BYTES, used)).toBe(true);
    },
  ],
  RETAINED_MESSAGE_BYTES: [
    () => expect(isFull(1000, limits.RETAINED_MESSAGE_BYTES)).toBe(false),
    () => expect(isFull(limits.RETAINED_MESSAGE_BYTES, limits.RETAINED_MESSAGE_BYTES)).toBe(true),
  ],
  ACK_RIDES_BYTES: [
    () => expect(ackRides([limits.ACK_RIDES_BYTES])).toBe(true),
    () => expect(ackRides([limits.ACK_RIDES_BYTES - 1])).toBe(false),
  ],
  ACK_RIDES_MESSAGES: [
    () => expect(ackRides(Array<number>(limits.ACK_RIDES_MESSAGES).fill(1))).toBe(true),
    () => expect(ackRides(Array<number>(limits.ACK_RIDES_MESSAGES - 1).fill(1))).toBe(false),
  ],
  GRACE_MS: [
    () => expect(afterCut(limits.GRACE_MS - 1)).toBeUndefined(),
    () => expect(afterCut(limits.GRACE_MS)).toBe("agent-lost"),
  ],
  MAX_GRACE_MS: [
    () => expect(refusalOf(0, "s", 0, 1, 1, limits.MAX_GRACE_MS, "x")).toBeUndefined(),
    () => expect(refusalOf(0, "s", 0, 1, 1, limits.MAX_GRACE_MS + 1, "x")).toBe("protocol-error"),
  ],
  HELLO_WITHIN_MS: [
    () => expect(helloless(limits.HELLO_WITHIN_MS - 1)).toBeUndefined(),
    () => expect(helloless(limits.HELLO_WITHIN_MS)).toBe(1001),
  ],
  SUSPECT_AFTER_MS: [
    () => expect(isSuspectAfter(limits.SUSPECT_AFTER_MS - 1)).toBe(false),
    () => expect(isSuspectAfter(limits.SUSPECT_AFTER_MS)).toBe(true),
  ],
  MAX_QUEUED_FRAMES: [
    () => expect(floodedBy(limits.MAX_QUEUED_FRAMES)).toBe(false),
    () => expect(floodedBy(limits.MAX_QUEUED_FRAMES + 1)).toBe(true),
  ],
  OUTBOX_BYTES: [
    () => expect(mayGoOnAfter(limits.OUTBOX_BYTES - 1)).toBe(true),
    () => expect(mayGoOnAfter(limits.OUTBOX_BYTES)).toBe(false),
  ],
  PING_AFTER_MS: [
    () => expect(afterSilence(limits.PING_AFTER_MS - 1)).toEqual([[], undefined]),
    () => expect(afterSilence(limits.PING_AFTER_MS)).toEqual([["ping"], undefined]),
  ],
  DEAD_AFTER_MS: [
    () => expect(afterSilence(limits.DEAD_AFTER_MS - 1)).toEqual([["ping"], undefined]),
    () => expect(afterSilence(limits.DEAD_AFTER_MS)).toEqual([[], 1001]),
  ],
};

/** A window is granted when so much is used, and overdrawn by the byte behind it. */
function windowSides(windowBytes: number, usedBytes: number): readonly [() => void, () => void] {
  const begin = (): ReceiveCredit => {
    const budget = new Budget();
    budget.reserve(usedBytes);
    return new ReceiveCredit(budget, budget.admit(), 0);
  };
  return [
    () => expect(begin().receive(windowBytes)).toBe(true),
    () => expect(begin().receive(windowBytes + 1)).toBe(false),
  ];
}

/** The bytes in front of a message that was made where its data lay, of the headroom that the data had. */
function headroomLeft(stream: number, size: number): number {
  const bytes = new Uint8Array(
    new ArrayBuffer(limits.HEADROOM_BYTES + size),
    limits.HEADROOM_BYTES,
  );
  const writer = new MessageWriter();
  writer.add({ kind: "data", stream, bytes, headroom: true });
  const message = writer.take(() => {
    throw new Error("nothing is copied");
  });
  expect(message.buffer).toBe(bytes.buffer);
  return message.byteOffset;
}

/** By how much a window grows that was consumed `takenBytes` of while a quarter of the budget was free. */
function scarceGrowthAfter(takenBytes: number): number {
  const budget = new Budget();
  const credit = new ReceiveCredit(budget, budget.admit(), 0);
  budget.reserve((limits.BUDGET_BYTES / 4) * 3 - limits.INITIAL_WINDOW_BYTES);
  const before = credit.windowBytes;
  let leftBytes = takenBytes;
  while (leftBytes > 0) {
    const bytes = Math.min(leftBytes, credit.grantedBytes);
    credit.receive(bytes);
    leftBytes -= bytes;
    // All of it within one epoch, which only the last byte ends.
    credit.consume(bytes, leftBytes > 0 ? 0 : limits.STEADY_READER_MS, 0);
  }
  return credit.windowBytes - before;
}

/** By how much a body's window grows when three eighths of the budget are used and it is read for so long. */
function busyGrowthAfter(ms: number): number {
  const budget = new Budget();
  budget.reserve((BUDGET_BYTES / 8) * 3);
  const credit = new ReceiveCredit(budget, budget.admit(), 0);
  const before = credit.windowBytes;
  for (let now = 1; now <= ms; now++) {
    const bytes = Math.floor(credit.grantedBytes / 2);
    credit.receive(bytes);
    credit.consume(bytes, now, 10);
  }
  return credit.windowBytes - before;
}

/** The window of a body that was read at once `ms` after it began, on a path without any delay. */
function windowAfterRoundTrip(ms: number): number {
  const budget = new Budget();
  const credit = new ReceiveCredit(budget, budget.admit(), 0);
  credit.receive(limits.INITIAL_WINDOW_BYTES);
  credit.consume(limits.INITIAL_WINDOW_BYTES, ms, 0);
  return credit.windowBytes;
}

/** Whether a mux takes its peer for one that floods it when so many frames wait for it. */
function floodedBy(frames: number): boolean {
  const mux = accepting(1);
  for (let token = 0; token < frames; token++) mux.ping(token);
  return mux.flooded;
}

/** Whether a writer may go on at once when so many bytes wait. */
function mayGoOnAfter(bytes: number): boolean {
  const { session } = edge({ credit: MAX_CREDIT_BYTES }).end;
  return session.open({ ...get, length: "unknown" }).outgoing.write(new Uint8Array(bytes));
}

/** Whether a link that may keep `retainBytes` is full when it keeps one message that costs `bytes`, while `usedBytes` of the budget are. */
function isFull(retainBytes: number, bytes: number, usedBytes = 0): boolean {
  const budget = new Budget();
  budget.reserve(usedBytes);
  const link = new Link({ retainBytes, budget, release: () => {} });
  link.keep(new Uint8Array(bytes - limits.RETAINED_MESSAGE_BYTES), false);
  return link.full;
}

/** Whether an ACK goes along when messages of these sizes have arrived. */
function ackRides(sizes: readonly number[]): boolean {
  const link = new Link({ retainBytes: 1, budget: new Budget(), release: () => {} });
  for (const size of sizes) link.receive(size);
  return link.ackRides;
}

/** What has become of an exchange so long after its agent's socket was lost. */
function afterCut(ms: number): string | undefined {
  const { end, clock } = edge();
  const exchange = end.session.open(get);
  end.transport.turn();
  end.listener.lost(end.transport, 1006, "");
  clock.now += ms;
  end.platform.ring();
  return exchange.error?.code;
}

/** How a socket is closed that has said nothing for so long. */
function helloless(ms: number): number | undefined {
  const pair = new SessionPair();
  pair.pass(ms);
  return pair.edge.transport.closed?.code;
}

/** Whether an agent with an open stream is suspect after so much silence. */
function isSuspectAfter(ms: number): boolean {
  const { end, clock } = edge();
  end.session.open(get);
  clock.now += ms;
  return end.session.suspect;
}

/** What an edge with an open stream sends, and how it closes, after so much silence. */
function afterSilence(ms: number): readonly [kinds: string[], closed: number | undefined] {
  const { end, clock } = edge();
  const { session, transport } = end;
  session.open(get);
  transport.turn();
  transport.sent.length = 0;
  clock.now += ms;
  end.tick();
  transport.turn();
  return [
    transport.frames().flatMap((frames) => frames.map(({ kind }) => kind)),
    transport.closed?.code,
  ];
}

/** The sizes of the messages in which an edge sends a request body of `bytes` that has all the credit it needs. */
function answerMessages(bytes: number): number[] {
  const { session, transport } = edge({ credit: MAX_CREDIT_BYTES }).end;
  session.open({ ...get, length: "unknown" }).outgoing.write(new Uint8Array(bytes));
  transport.turn();
  return transport.sent.map(({ length }) => length);
}

const values = new Map<string, unknown>(Object.entries(limits));

describe.each(Object.entries(sides))("%s", (name, [at, beyond]) => {
  test(`holds at ${String(values.get(name))}`, at);
  test("and refuses or changes what is beyond", beyond);
});
