/** Bodies as their readers and writers know them: waiting, pausing, ending, and the memory behind them. */
import { encode } from "@msgpack/msgpack";
import { describe, expect, test } from "vitest";
import type { Exchange } from "../../codec/exchange.ts";
import type { Frame } from "../../codec/frame.ts";
import { INITIAL_WINDOW_BYTES, OUTBOX_BYTES, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import {
  bytes,
  code,
  get,
  greeted,
  immediate,
  ok,
  opened,
  post,
  textOf,
  watchRejections,
} from "../support/exchanges.ts";
import { messageOf } from "../support/pair.ts";

watchRejections();

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
