/** A session and its exchanges, end to end without a socket: what shells can rely on, and what a bad peer gets. */
import { encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { errors, TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { Frame, RequestHead, ResponseHead } from "../../codec/frame.ts";
import {
  DEAD_AFTER_MS,
  GRACE_MS,
  INITIAL_WINDOW_BYTES,
  HELLO_WITHIN_MS,
  MAX_HEAD_BYTES,
  MAX_HEADER_FIELDS,
  MAX_QUEUED_FRAMES,
  OUTBOX_BYTES,
  PING_AFTER_MS,
  REQUEST_CREDIT_BYTES,
  UNPROVEN_BYTES,
} from "../../codec/limits.ts";
import { patterned } from "../support/arbitraries.ts";
import {
  agentHello,
  edgeHello,
  framesOf,
  messageOf,
  SessionPair,
  type SessionPairOptions,
} from "../support/pair.ts";

const get: RequestHead = { method: "GET", path: "/", headers: ["a", "b"], length: "none" };
const post: RequestHead = { method: "POST", path: "/", headers: [], length: "unknown" };
const ok: ResponseHead = { status: 200, reason: "OK", headers: ["x", "y"], length: "unknown" };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const code = (error: unknown): string =>
  error instanceof TunnelError ? error.code : `no TunnelError: ${String(error)}`;
const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Nothing that a session does may end as an unhandled rejection: in Node that is the end of the process. */
const unhandled: unknown[] = [];
const noteUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => void process.on("unhandledRejection", noteUnhandled));
afterEach(async () => {
  await immediate();
  await immediate();
  process.off("unhandledRejection", noteUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

/** A greeted pair, and every exchange that the agent accepted. */
async function greeted(
  options: SessionPairOptions = {},
): Promise<{ pair: SessionPair; accepted: Exchange[] }> {
  const accepted: Exchange[] = [];
  const pair = await SessionPair.greeted({
    ...options,
    agent: { accept: (exchange) => accepted.push(exchange), ...options.agent },
  });
  return { pair, accepted };
}

/** A greeted pair with one exchange that the agent has accepted. */
async function opened(head: RequestHead = post): Promise<{
  pair: SessionPair;
  edge: Exchange;
  agent: Exchange;
}> {
  const { pair, accepted } = await greeted();
  const edge = pair.edge.session.open(head);
  await pair.settle();
  const [agent] = accepted;
  if (agent === undefined) throw new Error("the exchange did not arrive");
  return { pair, edge, agent };
}

/** All of a body, read to its end. */
async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe("greeting", () => {
  test("the agent says HELLO first, the edge answers, and both know each other's limits", async () => {
    const greetings: string[] = [];
    const pair = new SessionPair({
      edge: { greeted: ({ software }) => greetings.push(software) },
      agent: { connected: ({ id, peer }) => greetings.push(`${peer?.software} ${id}`) },
    });
    pair.greet();
    await pair.settle();
    expect(greetings).toEqual([agentHello.software, `${edgeHello.software} s1`]);
    expect([pair.edge.session.ready, pair.agent.session.ready]).toEqual([true, true]);
    expect(pair.edge.session.peer).toEqual({
      kind: "hello",
      session: "",
      received: 0,
      ...agentHello,
    });
  });

  test("the HELLO of each end is alone in its message", () => {
    const pair = new SessionPair();
    pair.greet();
    expect(pair.agent.transport.frames()).toMatchObject([[{ kind: "hello" }]]);
    pair.deliver("edge");
    pair.edge.transport.turn();
    expect(pair.edge.transport.frames()[0]).toMatchObject([{ kind: "hello" }]);
  });

  test("with more than a HELLO in its message is refused", () => {
    const pair = new SessionPair();
    const hello: Frame = { kind: "hello", session: "", received: 0, ...agentHello };
    pair.edge.receive(messageOf(hello, { kind: "ping", token: 1 }));
    expect(pair.edge.transport.closed?.code).toBe(4000 + errors["protocol-error"].wire);
  });

  test("the edge measures the round trip with a PING", async () => {
    const { pair } = await greeted();
    expect(pair.edge.session.rttMs).toBe(0);
    const slow = new SessionPair();
    slow.greet();
    slow.deliver("edge");
    slow.edge.transport.turn();
    slow.clock.now += 15;
    slow.deliver("agent");
    expect(slow.agent.session.rttMs).toBe(15);
    slow.agent.transport.turn();
    slow.clock.now += 15;
    slow.deliver("edge");
    expect(slow.edge.session.rttMs).toBe(30);
  });

  test("nothing may come before HELLO", () => {
    for (const frame of [
      { kind: "ping", token: 1 },
      { kind: "cancel", stream: 1, code: "cancelled", note: "" },
    ] as Frame[]) {
      const pair = new SessionPair();
      pair.edge.receive(messageOf(frame));
      expect(pair.edge.transport.closed?.code).toBe(4000 + errors["protocol-error"].wire);
    }
  });

  test("has to come in time", () => {
    const pair = new SessionPair();
    pair.pass(HELLO_WITHIN_MS - 1);
    expect(pair.edge.transport.closed).toBeUndefined();
    pair.pass(1);
    // No code of the error table: a slow network must not end the session that the agent would go on with.
    expect(pair.edge.transport.closed).toEqual({ code: 1001, reason: "no HELLO in time" });
  });

  test("an agent says HELLO once a socket: a second one ends the session", async () => {
    const { pair } = await greeted();
    pair.greet();
    await pair.settle();
    expect(pair.edge.transport.closed?.code).toBe(4000 + errors["protocol-error"].wire);
  });
});

describe("an exchange", () => {
  test("crosses with heads, bodies and trailers both ways", async () => {
    const { pair, edge, agent } = await opened();
    expect(agent.request).toEqual(post);
    expect(agent.stream).toBe(edge.stream);
    edge.outgoing.write(bytes("question"));
    edge.outgoing.end(["x-sum", "1"]);
    await pair.settle();
    expect(await textOf(agent.incoming)).toBe("question");
    expect(agent.incoming.trailers).toEqual(["x-sum", "1"]);
    agent.respond(ok);
    agent.outgoing.write(bytes("ans"));
    agent.outgoing.write(bytes("wer"));
    agent.outgoing.end(["x-sum", "2"]);
    await pair.settle();
    expect(await edge.answer()).toEqual(ok);
    expect(await textOf(edge.incoming)).toBe("answer");
    expect([edge.incoming.trailers, edge.incoming.ended]).toEqual([["x-sum", "2"], true]);
    for (const { session } of [pair.edge, pair.agent]) {
      expect([session.streams, session.promisedBytes, session.bufferedBytes]).toEqual([0, 0, 0]);
    }
    expect([edge.error, agent.error]).toEqual([undefined, undefined]);
  });

  test("with a small answer is one message, and the whole body is there when the head is", async () => {
    const { pair, edge, agent } = await opened(get);
    const answer = edge.answer();
    agent.respond({ ...ok, length: 2 });
    agent.outgoing.write(bytes("hi"));
    agent.outgoing.end();
    pair.agent.transport.turn();
    expect(pair.agent.transport.frames().map((frames) => frames.map(({ kind }) => kind))).toEqual([
      ["response", "data", "end"],
    ]);
    pair.deliver("edge");
    await answer;
    expect([edge.incoming.complete, edge.incoming.ended]).toEqual([true, false]);
    expect(edge.incoming.take()).toEqual(bytes("hi"));
    expect([edge.incoming.take(), edge.incoming.ended]).toEqual([undefined, true]);
    expect(pair.edge.session.promisedBytes).toBe(0);
  });

  test("without bodies is two frames, and over", async () => {
    const { pair, edge, agent } = await opened(get);
    agent.respond({ ...ok, length: "none" });
    await pair.settle();
    expect(await edge.answer()).toMatchObject({ length: "none" });
    expect([edge.incoming.complete, edge.incoming.ended, edge.incoming.take()]).toEqual([
      true,
      true,
      undefined,
    ]);
    expect([pair.edge.session.streams, pair.edge.session.promisedBytes]).toEqual([0, 0]);
  });

  test("shares messages with the others that are ready in the same turn", async () => {
    const { pair, accepted } = await greeted();
    for (let i = 0; i < 5; i++) pair.edge.session.open(get);
    pair.edge.transport.turn();
    expect(pair.edge.transport.frames().map((frames) => frames.length)).toEqual([5]);
    await pair.settle();
    for (const exchange of accepted) {
      exchange.respond({ ...ok, length: 1 });
      exchange.outgoing.write(bytes("x"));
      exchange.outgoing.end();
    }
    pair.agent.transport.turn();
    expect(pair.agent.transport.frames().map((frames) => frames.length)).toEqual([15]);
  });

  test("may be answered completely before its request has ended", async () => {
    const { pair, edge, agent } = await opened();
    agent.respond({ ...ok, length: "none" });
    await pair.settle();
    expect(await edge.answer()).toMatchObject({ status: 200 });
    expect([pair.edge.session.streams, edge.error]).toEqual([1, undefined]);
    edge.outgoing.write(bytes("late"));
    edge.outgoing.end();
    await pair.settle();
    expect(await textOf(agent.incoming)).toBe("late");
    expect([pair.edge.session.streams, pair.agent.session.streams]).toEqual([0, 0]);
  });
});

describe("a full transport", () => {
  test("is sent nothing, and everything in order when it has room again", async () => {
    const { pair, edge, agent } = await opened(get);
    pair.agent.transport.full = true;
    agent.respond(ok);
    agent.outgoing.write(patterned(100_000, 3));
    agent.outgoing.end();
    pair.agent.transport.turn();
    pair.agent.session.flush();
    expect(pair.agent.transport.sent).toEqual([]);
    pair.agent.transport.full = false;
    pair.agent.session.flush();
    await pair.settle();
    await edge.answer();
    let taken = 0;
    for (let chunk = edge.incoming.take(); chunk; chunk = edge.incoming.take())
      taken += chunk.length;
    expect(taken).toBe(INITIAL_WINDOW_BYTES);
    await pair.settle();
    for (let chunk = edge.incoming.take(); chunk; chunk = edge.incoming.take())
      taken += chunk.length;
    expect([taken, edge.incoming.ended]).toEqual([100_000, true]);
  });

  test("never keeps a session from reading: answers to PINGs and credit are merged, not queued", async () => {
    const { pair } = await greeted();
    pair.agent.transport.full = true;
    for (let token = 1; token <= 50; token++) {
      pair.agent.receive(messageOf({ kind: "ping", token }));
      pair.agent.transport.turn();
    }
    pair.agent.transport.full = false;
    pair.agent.session.flush();
    expect(pair.agent.transport.frames()).toEqual([
      [
        { kind: "ack", received: 51 },
        { kind: "pong", token: 50 },
      ],
    ]);
  });

  test("answers a few PINGs and not a flood of them, which nobody may be reading the answers of", async () => {
    const { pair } = await greeted();
    const answersAfter = (pings: number): number => {
      for (let token = 1; token <= pings; token++) {
        pair.edge.receive(messageOf({ kind: "ping", token }));
        pair.edge.transport.turn();
      }
      return pair.edge.transport.frames().length;
    };
    expect(answersAfter(10)).toBe(10);
    expect(answersAfter(1000)).toBe(10);
    pair.clock.now += PING_AFTER_MS;
    expect(answersAfter(1)).toBe(11);
  });
});

describe("a peer whose credit is boundless", () => {
  /** An edge with one upload that the agent gave a GiB of credit, and what it has sent of it. */
  async function uploading(): Promise<{
    sentBytes: () => number;
    pings: () => number[];
    pong: (token: number) => void;
  }> {
    // This agent lies about what it has received too.
    const { pair } = await greeted({ edge: { retainBytes: 2 ** 30 } });
    const edge = pair.edge.session.open(post);
    await pair.settle();
    const { transport } = pair.edge;
    const receive = (frame: Frame): void => {
      pair.edge.receive(messageOf(frame));
      transport.turn();
    };
    receive({ kind: "credit", stream: edge.stream, bytes: 2 ** 30 });
    for (let i = 0; i < 64; i++) edge.outgoing.write(new Uint8Array(1024 * 1024));
    transport.turn();
    const frames = (): Frame[] => transport.frames().flat();
    return {
      sentBytes: () =>
        frames().reduce((sum, frame) => sum + (frame.kind === "data" ? frame.bytes.length : 0), 0),
      pings: () => frames().flatMap((frame) => (frame.kind === "ping" ? [frame.token] : [])),
      pong: (token) => {
        // All but the HELLO are numbered.
        receive({ kind: "ack", received: transport.sent.length });
        receive({ kind: "pong", token });
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
});

describe("a body's reader", () => {
  test("waits with ready(), and is woken by data and by the end", async () => {
    const { pair, edge, agent } = await opened(get);
    agent.respond(ok);
    await pair.settle();
    let woken = 0;
    void edge.incoming.ready().then(() => woken++);
    await immediate();
    expect(woken).toBe(0);
    agent.outgoing.write(bytes("x"));
    await pair.settle();
    expect([woken, edge.incoming.take(), edge.incoming.take()]).toEqual([1, bytes("x"), undefined]);
    void edge.incoming.ready().then(() => woken++);
    agent.outgoing.end();
    await pair.settle();
    expect([woken, edge.incoming.ended]).toEqual([2, true]);
    await edge.incoming.ready();
  });

  test("gets the error that cut the body, whether it waits or comes later", async () => {
    const { pair, edge, agent } = await opened(get);
    agent.respond(ok);
    agent.outgoing.write(bytes("half"));
    await pair.settle();
    edge.incoming.take();
    edge.incoming.take();
    const waiting = edge.incoming.ready().catch(code);
    agent.cancel("origin-reset", "ECONNRESET");
    await pair.settle();
    expect(await waiting).toBe("origin-reset");
    expect(await edge.incoming.ready().catch(code)).toBe("origin-reset");
    expect([edge.incoming.take(), edge.incoming.ended, edge.incoming.complete]).toEqual([
      undefined,
      false,
      false,
    ]);
    expect(await textOf(edge.incoming).catch(code)).toBe("origin-reset");
    expect(pair.edge.session.promisedBytes).toBe(0);
  });

  test("may ask ready() with a chunk in hand: it is never the one that holds back its own credit", async () => {
    const { pair, edge, agent } = await opened(get);
    agent.respond(ok);
    agent.outgoing.write(new Uint8Array(3 * INITIAL_WINDOW_BYTES));
    agent.outgoing.end();
    await pair.settle();
    let taken = 0;
    while (!edge.incoming.ended) {
      let ready = false;
      void edge.incoming.ready().then(() => (ready = true));
      await pair.settle();
      expect(ready, `after ${taken} bytes`).toBe(true);
      taken += edge.incoming.take()?.length ?? 0;
    }
    expect(taken).toBe(3 * INITIAL_WINDOW_BYTES);
  });

  test("keeps what ended well, though the session is lost before it was read", async () => {
    const { pair, edge, agent } = await opened(get);
    agent.respond(ok);
    agent.outgoing.write(bytes("whole"));
    agent.outgoing.end();
    await pair.settle();
    pair.edge.session.lost();
    expect(await edge.answer()).toEqual(ok);
    expect(await textOf(edge.incoming)).toBe("whole");
    expect(pair.edge.session.promisedBytes).toBe(0);
  });

  test("leaves credit alone until it takes more: a chunk that is with the reader is not consumed", async () => {
    const { pair, edge, agent } = await opened(get);
    agent.respond(ok);
    agent.outgoing.write(new Uint8Array(2 * INITIAL_WINDOW_BYTES));
    await pair.settle();
    expect(edge.incoming.bufferedBytes).toBe(INITIAL_WINDOW_BYTES);
    edge.incoming.take();
    expect(edge.incoming.bufferedBytes).toBe(INITIAL_WINDOW_BYTES);
    await pair.settle();
    expect(agent.outgoing.queuedBytes).toBe(INITIAL_WINDOW_BYTES);
    const first = 2 * INITIAL_WINDOW_BYTES - agent.outgoing.queuedBytes;
    edge.incoming.take();
    await pair.settle();
    expect(2 * INITIAL_WINDOW_BYTES - agent.outgoing.queuedBytes).toBeGreaterThan(first);
  });
});

describe("a body's writer", () => {
  test("is asked to pause, and called again when the peer has given credit", async () => {
    const { pair, edge, agent } = await opened();
    expect(edge.outgoing.write(new Uint8Array(REQUEST_CREDIT_BYTES))).toBe(false);
    await pair.settle();
    let ready = false;
    void edge.outgoing.ready().then(() => (ready = true));
    await pair.settle();
    expect(ready).toBe(false);
    agent.incoming.take();
    agent.incoming.take();
    await pair.settle();
    expect(ready).toBe(true);
    await edge.outgoing.ready();
  });

  test("is asked to pause at the outbox's limit, whatever the credit", async () => {
    const { edge } = await opened();
    expect(edge.outgoing.write(new Uint8Array(OUTBOX_BYTES))).toBe(false);
    expect(edge.outgoing.queuedBytes).toBe(OUTBOX_BYTES);
  });

  test("gets the error that ended the stream, and what it writes then is dropped", async () => {
    const { pair, edge, agent } = await opened();
    edge.outgoing.write(new Uint8Array(REQUEST_CREDIT_BYTES + 1));
    await pair.settle();
    const waiting = edge.outgoing.ready().catch(code);
    agent.cancel("origin-reset");
    await pair.settle();
    expect(await waiting).toBe("origin-reset");
    expect(edge.outgoing.write(bytes("more"))).toBe(false);
    edge.outgoing.end();
    expect([edge.outgoing.queuedBytes, pair.edge.session.streams]).toEqual([0, 0]);
  });

  test("finishes every body, however the sizes of writes, credit and outbox meet", async () => {
    for (const size of [
      1,
      1000,
      REQUEST_CREDIT_BYTES - 1,
      REQUEST_CREDIT_BYTES + 1,
      OUTBOX_BYTES + 1,
    ]) {
      const { pair, edge, agent } = await opened();
      let written = 0;
      let taken = 0;
      let done = false;
      const write = async (): Promise<void> => {
        while (written < 300_000 && written < size * 50) {
          written += size;
          if (!edge.outgoing.write(new Uint8Array(size))) await edge.outgoing.ready();
        }
        edge.outgoing.end();
      };
      const read = async (): Promise<void> => {
        for await (const chunk of agent.incoming) taken += chunk.length;
        done = true;
      };
      void Promise.all([write(), read()]);
      for (let i = 0; i < 200 && !done; i++) await pair.settle();
      expect([taken, done]).toEqual([written, true]);
    }
  });
});

describe("cancelling", () => {
  test("by the edge ends everything at once, tells the agent, and frees both ends", async () => {
    const { pair, edge, agent } = await opened();
    const onCancel = vi.fn<(error: TunnelError) => void>();
    const own = vi.fn<(error: TunnelError) => void>();
    agent.onCancel = onCancel;
    edge.onCancel = own;
    agent.respond(ok);
    agent.outgoing.write(new Uint8Array(200_000));
    edge.outgoing.write(new Uint8Array(50_000));
    await pair.settle();
    const answer = edge.answer();
    edge.cancel("cancelled", "the visitor left");
    edge.cancel("internal-error");
    await pair.settle();
    await answer;
    expect(onCancel).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ code: "cancelled" }),
    );
    expect(own).not.toHaveBeenCalled();
    expect([edge.error?.code, agent.error?.code]).toEqual(["cancelled", "cancelled"]);
    for (const { session } of [pair.edge, pair.agent]) {
      expect([session.streams, session.promisedBytes, session.bufferedBytes]).toEqual([0, 0, 0]);
    }
  });

  test("rejects an answer that is waited for, on both ends", async () => {
    const { pair, edge, agent } = await opened();
    const answer = edge.answer().catch(code);
    agent.cancel("origin-refused", "ECONNREFUSED");
    await pair.settle();
    expect(await answer).toBe("origin-refused");
    expect(await edge.answer().catch(code)).toBe("origin-refused");
  });

  test("while data is on its way is no error: what arrives late is dropped", async () => {
    const { pair, edge, agent } = await opened();
    agent.respond(ok);
    agent.outgoing.write(new Uint8Array(1000));
    pair.agent.transport.turn();
    edge.cancel("cancelled");
    await pair.settle();
    expect([
      pair.edge.session.ready,
      pair.edge.session.promisedBytes,
      pair.agent.session.streams,
    ]).toEqual([true, 0, 0]);
  });

  test("tells nobody when both halves had ended well", async () => {
    const { pair, edge, agent } = await opened(get);
    const onCancel = vi.fn<() => void>();
    edge.onCancel = onCancel;
    agent.onCancel = onCancel;
    agent.respond(ok);
    agent.outgoing.write(bytes("unread"));
    agent.outgoing.end();
    await pair.settle();
    edge.cancel("cancelled");
    expect(pair.edge.session.promisedBytes).toBe(0);
    await pair.settle();
    expect(pair.agent.transport.sent).toEqual([]);
    pair.edge.session.lost();
    pair.agent.session.lost();
    expect([onCancel.mock.calls, agent.error]).toEqual([[], undefined]);
  });

  test("of the rest of a request leaves an answer good that has arrived", async () => {
    const { pair, edge, agent } = await opened();
    const onCancel = vi.fn<(error: TunnelError) => void>();
    edge.onCancel = onCancel;
    agent.respond(ok);
    agent.outgoing.write(bytes("enough"));
    agent.outgoing.end();
    await pair.settle();
    agent.cancel("not-needed");
    await pair.settle();
    expect(onCancel).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ code: "not-needed" }),
    );
    expect(await edge.answer()).toEqual(ok);
    expect(await textOf(edge.incoming)).toBe("enough");
    expect(edge.outgoing.write(bytes("more"))).toBe(false);
    expect([pair.edge.session.streams, pair.edge.session.promisedBytes]).toEqual([0, 0]);
  });
});

describe("declining the rest of a request", () => {
  test("lets an answer that is written but not sent arrive whole, and then stops the upload", async () => {
    const { pair, edge, agent } = await opened();
    const onCancel = vi.fn<(error: TunnelError) => void>();
    edge.onCancel = onCancel;
    edge.outgoing.write(bytes("not read"));
    await pair.settle();
    agent.respond(ok);
    agent.outgoing.write(bytes("enough"));
    agent.outgoing.end();
    agent.incoming.decline();
    edge.outgoing.write(bytes("on its way"));
    await pair.settle();
    expect(await edge.answer()).toEqual(ok);
    expect(await textOf(edge.incoming)).toBe("enough");
    expect(onCancel).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ code: "not-needed" }),
    );
    await expect(agent.incoming.ready()).rejects.toMatchObject({ code: "not-needed" });
    for (const { session } of [pair.edge, pair.agent]) {
      expect([session.streams, session.promisedBytes]).toEqual([0, 0]);
    }
  });

  test("drops what still arrives while the answer goes on", async () => {
    const { pair, edge, agent } = await opened();
    agent.respond(ok);
    await pair.settle();
    agent.incoming.decline();
    edge.outgoing.write(bytes("unwanted"));
    edge.outgoing.end();
    await pair.settle();
    agent.outgoing.write(bytes("all of it"));
    agent.outgoing.end();
    await pair.settle();
    expect(await textOf(edge.incoming)).toBe("all of it");
    for (const { session } of [pair.edge, pair.agent]) {
      expect([session.streams, session.promisedBytes]).toEqual([0, 0]);
    }
  });
});

describe("heads that are illegal or too large", () => {
  test.each([
    ["a bad method", { method: "GE T" }, "bad-request"],
    ["a bad target", { path: "http://a/" }, "bad-request"],
    ["a bad field", { headers: ["a", "b\r\n"] }, "bad-request"],
    ["too many fields", { headers: Array(2 * MAX_HEADER_FIELDS + 2).fill("a") }, "head-too-large"],
    ["too many bytes", { headers: ["a", "b".repeat(MAX_HEAD_BYTES)] }, "head-too-large"],
  ])("are refused before anything is sent: a request with %s", async (_, change, expected) => {
    const { pair } = await greeted();
    expect(() => pair.edge.session.open({ ...get, ...(change as Partial<RequestHead>) })).toThrow(
      expect.objectContaining({ code: expected }),
    );
    pair.edge.transport.turn();
    expect([
      pair.edge.transport.sent,
      pair.edge.session.streams,
      pair.edge.session.promisedBytes,
    ]).toEqual([[], 0, 0]);
  });

  test.each([
    ["a bad status", { status: 101 }],
    ["a bad reason", { reason: "a\nb" }],
    ["a bad field", { headers: ["a b", "c"] }],
    ["too many fields", { headers: Array(2 * MAX_HEADER_FIELDS + 2).fill("a") }],
    ["too many bytes", { headers: ["a", "ä".repeat(MAX_HEAD_BYTES / 2)] }],
  ])("are the origin's fault in an answer, and end only its stream: %s", async (_, change) => {
    const { pair, edge, agent } = await opened();
    const answer = edge.answer().catch(code);
    agent.respond({ ...ok, ...(change as Partial<ResponseHead>) });
    expect(agent.error?.code).toBe("origin-invalid");
    agent.outgoing.write(bytes("dropped"));
    agent.outgoing.end();
    await pair.settle();
    expect([await answer, pair.edge.session.ready]).toEqual(["origin-invalid", true]);
  });

  test.each([
    ["odd in number", ["a"]],
    ["no tokens", ["a b", "c"]],
    ["with control characters", ["a", "b\nc"]],
    ["too many", Array(2 * MAX_HEADER_FIELDS + 2).fill("a")],
    ["too large", ["a", "b".repeat(MAX_HEAD_BYTES)]],
  ])(
    "do not exist as trailers: those that are %s are left out, and the body stays good",
    async (_, trailers) => {
      const { pair, edge, agent } = await opened(get);
      agent.respond(ok);
      agent.outgoing.write(bytes("body"));
      agent.outgoing.end(trailers as string[]);
      await pair.settle();
      expect(pair.edge.session.ready).toBe(true);
      expect([await textOf(edge.incoming), edge.incoming.trailers]).toEqual(["body", []]);
    },
  );
});

describe("a body that is not as long as its head said", () => {
  const five = { length: 5 } as const;

  test("fails the exchange on both ends: a request that is too long", async () => {
    const { pair, edge, agent } = await opened({ ...post, ...five });
    const answer = edge.answer().catch(code);
    edge.outgoing.write(bytes("four"));
    expect(edge.outgoing.write(bytes("five"))).toBe(false);
    await pair.settle();
    expect([await answer, edge.error?.code, agent.error?.code]).toEqual(
      Array(3).fill("body-mismatch"),
    );
    expect(await edge.outgoing.ready().catch(code)).toBe("body-mismatch");
  });

  test("fails the exchange on both ends: a request that is too short", async () => {
    const { pair, edge, agent } = await opened({ ...post, ...five });
    const answer = edge.answer().catch(code);
    const reading = textOf(agent.incoming).catch(code);
    edge.outgoing.write(bytes("four"));
    edge.outgoing.end();
    await pair.settle();
    expect([await answer, await reading]).toEqual(["body-mismatch", "body-mismatch"]);
    expect([pair.edge.session.streams, pair.agent.session.promisedBytes]).toEqual([0, 0]);
  });

  test("fails the exchange on both ends: an answer that is too long", async () => {
    const { pair, edge, agent } = await opened(get);
    agent.respond({ ...ok, ...five });
    agent.outgoing.write(bytes("too long"));
    await pair.settle();
    expect([edge.error?.code, agent.error?.code]).toEqual(["body-mismatch", "body-mismatch"]);
    expect(pair.edge.session.ready).toBe(true);
  });

  test("fails the exchange on both ends: an answer that is too short, though its reader took all there was", async () => {
    const { pair, edge, agent } = await opened(get);
    agent.respond({ ...ok, ...five });
    agent.outgoing.write(bytes("four"));
    await pair.settle();
    const reading = textOf(edge.incoming).catch(code);
    agent.outgoing.end();
    await pair.settle();
    expect([await reading, agent.error?.code]).toEqual(["body-mismatch", "body-mismatch"]);
  });

  test.each([
    ["too much", [{ kind: "data", stream: 1, bytes: bytes("123456") }]],
    [
      "too little",
      [
        { kind: "data", stream: 1, bytes: bytes("1234") },
        { kind: "end", stream: 1, trailers: [] },
      ],
    ],
  ] as [string, Frame[]][])("is noticed when the peer does not: %s", async (_, frames) => {
    const { pair, edge } = await opened(get);
    pair.edge.receive(
      messageOf({ kind: "response", stream: 1, head: { ...ok, ...five } }, ...frames),
    );
    expect(edge.error?.code).toBe("body-mismatch");
    await pair.settle();
    expect([
      pair.edge.session.ready,
      pair.edge.session.promisedBytes,
      pair.agent.session.streams,
    ]).toEqual([true, 0, 0]);
  });
});

describe("an edge that has forgotten", () => {
  test("says HELLO again with its first request, which is served", async () => {
    const { pair, accepted } = await greeted();
    pair.edge.session.open(get);
    await pair.settle();
    pair.hibernate();
    expect([pair.edge.session.ready, pair.edge.transport.sent]).toEqual([true, []]);
    const edge = pair.edge.session.open(get);
    pair.edge.transport.turn();
    expect(pair.edge.transport.frames().map((frames) => frames.map(({ kind }) => kind))).toEqual([
      ["hello"],
      ["request"],
    ]);
    await pair.settle();
    accepted.at(-1)?.respond({ ...ok, length: "none" });
    await pair.settle();
    expect(await edge.answer()).toMatchObject({ status: 200 });
    expect(pair.edge.session.streams).toBe(0);
  });

  test("ignores what belongs to the time before, and the agent's exchanges of then fail", async () => {
    const { pair, accepted } = await greeted();
    pair.edge.session.open(post);
    await pair.settle();
    const [old] = accepted;
    if (old === undefined) throw new Error("not accepted");
    const onCancel = vi.fn<(error: TunnelError) => void>();
    old.onCancel = onCancel;
    old.respond({ ...ok, reason: "old" });
    old.outgoing.write(bytes("old"));
    pair.agent.transport.turn();
    pair.hibernate();
    const edge = pair.edge.session.open(post);
    await pair.settle();
    expect(onCancel).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ code: "agent-lost" }),
    );
    expect(edge.error).toBeUndefined();
    accepted.at(-1)?.respond({ ...ok, reason: "new", length: "none" });
    await pair.settle();
    expect(await edge.answer()).toMatchObject({ reason: "new" });
    expect(pair.agent.session.streams).toBe(1);
  });

  test("is not taken in by an agent's answer to an earlier HELLO of its own", async () => {
    const { pair, accepted } = await greeted();
    // It wakes, asks, gives up, sleeps, and wakes again, while the agent is slow.
    pair.hibernate();
    pair.edge.session.open(get).cancel("cancelled");
    pair.edge.transport.turn();
    const first = pair.edge.transport.sent.splice(0);
    pair.hibernate();
    const edge = pair.edge.session.open(get);
    pair.edge.transport.turn();
    // The agent answers the first request before it reads of its end.
    const [hello, request] = first;
    if (hello === undefined || request === undefined) throw new Error("nothing was sent");
    pair.agent.receive(hello);
    pair.agent.receive(messageOf(framesOf(request)[0] as Frame));
    accepted.at(-1)?.respond({ ...ok, reason: "for somebody else", length: "none" });
    pair.agent.transport.turn();
    pair.deliver("edge");
    await immediate();
    await pair.settle();
    accepted.at(-1)?.respond({ ...ok, reason: "right", length: "none" });
    await pair.settle();
    expect(pair.edge.transport.closed).toBeUndefined();
    expect(await edge.answer()).toMatchObject({ reason: "right" });
  });

  test("learns from a draining agent that it drains", async () => {
    const { pair } = await greeted();
    pair.agent.dialer.drain("SIGTERM");
    pair.agent.transport.turn();
    pair.agent.transport.sent.length = 0;
    pair.hibernate();
    const edge = pair.edge.session.open(get);
    const answer = edge.answer().catch(code);
    await pair.settle();
    expect([await answer, pair.edge.session.ready]).toEqual(["draining", false]);
  });

  test("that is asked nothing says nothing", async () => {
    const { pair } = await greeted();
    pair.hibernate();
    pair.agent.receive(messageOf({ kind: "ping", token: 1 }));
    await pair.settle();
    pair.edge.tick();
    expect([pair.edge.transport.turn(), pair.edge.transport.sent]).toEqual([false, []]);
  });
});

describe("draining", () => {
  test("refuses what is new with a code that lets it go elsewhere, and finishes what is open", async () => {
    const draining = vi.fn<(code: string, note: string) => void>();
    const { pair, accepted } = await greeted({ edge: { draining } });
    const before = pair.edge.session.open(get);
    await pair.settle();
    pair.agent.dialer.drain("SIGTERM");
    pair.agent.dialer.drain("again");
    // This one crosses GOAWAY on the way.
    const crossing = pair.edge.session.open(get);
    const crossed = crossing.answer().catch(code);
    await pair.settle();
    expect(draining).toHaveBeenCalledExactlyOnceWith("draining", "SIGTERM");
    expect([await crossed, accepted.length, pair.edge.session.ready]).toEqual([
      "draining",
      1,
      false,
    ]);
    expect(() => pair.edge.session.open(get)).toThrow(
      expect.objectContaining({ code: "draining" }),
    );
    accepted[0]?.respond({ ...ok, length: "none" });
    await pair.settle();
    expect(await before.answer()).toMatchObject({ status: 200 });
    expect([pair.edge.session.streams, pair.agent.session.streams]).toEqual([0, 0]);
  });
});

describe("more streams than a peer takes", () => {
  test("are refused before anything is sent", async () => {
    const { pair } = await greeted({ agent: { introduction: { ...agentHello, maxStreams: 2 } } });
    pair.edge.session.open(get);
    const second = pair.edge.session.open(get);
    expect(() => pair.edge.session.open(get)).toThrow(
      expect.objectContaining({ code: "overloaded" }),
    );
    second.cancel("cancelled");
    pair.edge.session.open(get);
    await pair.settle();
    expect([pair.edge.session.streams, pair.agent.session.streams]).toEqual([2, 2]);
  });

  test("are refused one by one when a peer opens them all the same", async () => {
    const { pair, accepted } = await greeted({
      agent: { introduction: { ...agentHello, maxStreams: 2 } },
    });
    for (let stream = 1; stream <= 4; stream++) {
      pair.agent.receive(messageOf({ kind: "request", stream, credit: 10, head: get }));
    }
    pair.agent.transport.turn();
    expect(accepted).toHaveLength(2);
    expect(pair.agent.transport.frames()).toEqual([
      [3, 4].map((stream) => ({ kind: "cancel", stream, code: "overloaded", note: "" })),
    ]);
  });
});

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

describe("ending", () => {
  test.each(Object.entries(errors).filter(([, { ends }]) => ends === "session"))(
    "with %s closes the WebSocket with its number, and fails every exchange with it",
    async (name, { wire }) => {
      const { pair } = await greeted();
      const exchange = pair.edge.session.open(post);
      const answer = exchange.answer().catch(code);
      pair.edge.transport.turn();
      pair.edge.session.end(name as keyof typeof errors, "why");
      expect(pair.edge.transport.closed).toEqual({ code: 4000 + wire, reason: `${name}: why` });
      expect([await answer, exchange.error?.code, pair.edge.session.streams]).toEqual([
        name,
        name,
        0,
      ]);
    },
  );

  test("gives a reason of at most 123 bytes, whatever the note", async () => {
    const { pair } = await greeted();
    pair.edge.session.end("protocol-error", "ü🚰\n".repeat(100));
    const reason = pair.edge.transport.closed?.reason ?? "";
    expect(Buffer.byteLength(reason)).toBe(123);
    expect(reason).toMatch(/^protocol-error: [ -~]+$/);
  });

  test("happens once, and nothing moves afterwards", async () => {
    const ended = vi.fn<(error: TunnelError) => void>();
    const { pair } = await greeted({ edge: { ended } });
    const { session, transport } = pair.edge;
    session.end("shutting-down");
    session.end("internal-error");
    session.lost();
    pair.edge.receive(messageOf({ kind: "ping", token: 1 }));
    pair.edge.receive(new Uint8Array([0xc1]));
    pair.edge.tick();
    session.drain("draining", "");
    session.flush();
    expect(ended).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ code: "shutting-down" }),
    );
    expect([transport.turn(), transport.sent, transport.closed?.code]).toEqual([false, [], 4041]);
    expect(() => session.open(get)).toThrow(expect.objectContaining({ code: "agent-offline" }));
  });

  test("tells the shell only after every exchange has failed", async () => {
    const order: string[] = [];
    const { pair } = await greeted({ edge: { ended: () => order.push("ended") } });
    for (const name of ["a", "b"]) pair.edge.session.open(get).onCancel = () => order.push(name);
    pair.edge.session.lost("agent-lost", "1006");
    expect(order).toEqual(["a", "b", "ended"]);
  });

  test("by loss of the socket fails readers, writers and answers alike", async () => {
    const { pair, edge, agent } = await opened();
    edge.outgoing.write(new Uint8Array(REQUEST_CREDIT_BYTES));
    await pair.settle();
    const waiting = [edge.answer(), edge.outgoing.ready(), edge.incoming.ready()];
    agent.incoming.take();
    const atAgent = textOf(agent.incoming);
    pair.edge.session.lost();
    pair.agent.session.lost();
    for (const each of [...waiting, atAgent]) expect(await each.catch(code)).toBe("agent-lost");
    expect([pair.edge.session.promisedBytes, pair.agent.session.promisedBytes]).toEqual([0, 0]);
  });
});

describe("a peer that misbehaves ends its own session", () => {
  const data = (stream: number, size: number): Frame => ({
    kind: "data",
    stream,
    bytes: new Uint8Array(size),
  });
  const response: Frame = { kind: "response", stream: 1, head: ok };
  const end: Frame = { kind: "end", stream: 1, trailers: [] };

  test.each([
    ["garbage", [], "protocol-error"],
    [
      "a REQUEST to the end that asks",
      [{ kind: "request", stream: 2, credit: 1, head: get }],
      "protocol-error",
    ],
    ["a body before its head", [data(1, 1)], "protocol-error"],
    ["an end before its head", [end], "protocol-error"],
    ["a second head", [response, response], "protocol-error"],
    ["data after the end", [response, end, data(1, 1)], "protocol-error"],
    ["a second end", [response, end, end], "protocol-error"],
    ["data for a stream that was never opened", [data(2, 1)], "protocol-error"],
    ["credit for one", [{ kind: "credit", stream: 2, bytes: 1 }], "protocol-error"],
    [
      "a cancel for one",
      [{ kind: "cancel", stream: 2, code: "cancelled", note: "" }],
      "protocol-error",
    ],
    [
      "more than its credit",
      [response, data(1, INITIAL_WINDOW_BYTES), data(1, 1)],
      "flow-control-error",
    ],
    [
      "credit beyond all bounds",
      [{ kind: "credit", stream: 1, bytes: 2 ** 31 - 1 }],
      "flow-control-error",
    ],
    ["an unknown kind", [], "protocol-error"],
  ] as [string, Frame[], keyof typeof errors][])("%s", async (what, frames, expected) => {
    const { pair } = await greeted();
    const exchange = pair.edge.session.open(post);
    const answer = exchange.answer().catch(code);
    pair.edge.transport.turn();
    const message =
      frames.length > 0
        ? messageOf(...frames)
        : what === "garbage"
          ? new Uint8Array([0xc1, 2, 3])
          : encode([63]);
    pair.edge.receive(message);
    expect(pair.edge.transport.closed?.code).toBe(4000 + errors[expected].wire);
    expect(exchange.error?.code ?? (await answer)).toBe(expected);
    expect([pair.edge.session.streams, pair.edge.session.promisedBytes]).toEqual([0, 0]);
  });

  test.each([
    ["a request with an id that was used", [1, 1]],
    ["a request with an id below one that was used", [5, 4]],
  ])("%s", async (_, ids) => {
    const { pair } = await greeted();
    for (const stream of ids) {
      pair.agent.receive(messageOf({ kind: "request", stream, credit: 1, head: get }));
    }
    expect(pair.agent.transport.closed?.code).toBe(4000 + errors["protocol-error"].wire);
  });

  test("by making the other end queue more than it reads", async () => {
    const { pair } = await greeted({ agent: { introduction: { ...agentHello, maxStreams: 1 } } });
    pair.agent.transport.full = true;
    const requests = (first: number, count: number): Uint8Array =>
      messageOf(
        ...Array.from(
          { length: count },
          (_, i) => ({ kind: "request", stream: first + i, credit: 1, head: get }) as const,
        ),
      );
    pair.agent.receive(requests(1, MAX_QUEUED_FRAMES + 1));
    expect(pair.agent.transport.closed).toBeUndefined();
    pair.agent.receive(requests(MAX_QUEUED_FRAMES + 2, 1));
    expect(pair.agent.transport.closed?.code).toBe(4000 + errors["protocol-error"].wire);
  });

  test("and no other", async () => {
    const one = await greeted();
    const other = await greeted();
    one.pair.edge.receive(new Uint8Array([0xdd, 1, 255, 255, 255]));
    expect([one.pair.edge.session.ready, other.pair.edge.session.ready]).toEqual([false, true]);
    const exchange = other.pair.edge.session.open(get);
    await other.pair.settle();
    other.accepted[0]?.respond({ ...ok, length: "none" });
    await other.pair.settle();
    expect(await exchange.answer()).toMatchObject({ status: 200 });
  });

  test("while a fault of our own is thrown, and ends the session too", async () => {
    const accept = (): never => {
      throw new RangeError("a bug");
    };
    const { pair } = await greeted({ agent: { accept } });
    pair.edge.session.open(get);
    pair.edge.transport.turn();
    expect(() => pair.deliver("agent")).toThrow("a bug");
    expect(pair.agent.transport.closed?.code).toBe(4000 + errors["internal-error"].wire);
  });
});

describe("memory behind a body that is not read", () => {
  /** What the chunks that wait for the reader of `exchange` keep alive, in bytes. */
  function held(exchange: Exchange): { readonly chunks: number; readonly bytes: number } {
    const buffers = new Set<ArrayBufferLike>();
    let chunks = 0;
    for (let chunk = exchange.incoming.take(); chunk; chunk = exchange.incoming.take()) {
      chunks++;
      buffers.add(chunk.buffer);
    }
    let total = 0;
    for (const buffer of buffers) total += buffer.byteLength;
    return { chunks, bytes: total };
  }

  test.each([
    ["Uint8Array", (message: Uint8Array) => message],
    ["Buffer, as ws gives it,", (message: Uint8Array) => Buffer.from(message)],
  ])("is not that of another stream which shared its message: a %s is copied", async (_, as) => {
    const { pair } = await greeted();
    const [one, other] = [pair.edge.session.open(get), pair.edge.session.open(get)];
    const frames: Frame[] = [one, other].flatMap(({ stream }) => [
      { kind: "response", stream, head: ok },
      { kind: "data", stream, bytes: new Uint8Array(1000) },
    ]);
    pair.edge.receive(as(messageOf(...frames)));
    expect([held(one), held(other)]).toEqual(Array(2).fill({ chunks: 1, bytes: 1000 }));
  });

  test("is not that of a message much larger than what it holds", async () => {
    const { pair } = await greeted();
    const exchange = pair.edge.session.open(get);
    const filler = encode([64, ...Array(10).fill("x".repeat(6000))]);
    const message = Buffer.concat([
      messageOf(
        { kind: "response", stream: 1, head: ok },
        { kind: "data", stream: 1, bytes: bytes("x") },
      ),
      ...Array(10).fill(filler),
    ]);
    pair.edge.receive(Uint8Array.from(message));
    expect(held(exchange).bytes).toBeLessThan(100);
  });

  test("is about its bytes, though they came one by one", async () => {
    const { pair } = await greeted();
    const exchange = pair.edge.session.open(get);
    const one: Frame = { kind: "data", stream: 1, bytes: bytes("x") };
    pair.edge.receive(messageOf({ kind: "response", stream: 1, head: ok }));
    for (let i = 0; i < 16; i++) pair.edge.receive(messageOf(...Array<Frame>(4096).fill(one)));
    const { chunks, bytes: total } = held(exchange);
    expect(chunks).toBeLessThan(100);
    expect(total).toBeLessThan(3 * INITIAL_WINDOW_BYTES);
  });
});
