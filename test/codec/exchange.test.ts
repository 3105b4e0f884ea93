/** An exchange from its opening to its end, through both ends and without a socket. */
import { describe, expect, test, vi } from "vitest";
import type { TunnelError } from "../../codec/errors.ts";
import type { RequestHead, ResponseHead } from "../../codec/frame.ts";
import { MAX_HEAD_BYTES, MAX_HEADER_FIELDS } from "../../codec/limits.ts";
import {
  bytes,
  code,
  get,
  greeted,
  ok,
  opened,
  post,
  textOf,
  watchRejections,
} from "../support/exchanges.ts";

watchRejections();

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
