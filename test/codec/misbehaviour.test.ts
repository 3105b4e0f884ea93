/** What a peer that breaks the protocol gets. */
import { encode } from "@msgpack/msgpack";
import { describe, expect, test } from "vitest";
import { errors } from "../../codec/errors.ts";
import type { Frame } from "../../codec/frame.ts";
import { INITIAL_WINDOW_BYTES, MAX_QUEUED_FRAMES } from "../../codec/limits.ts";
import { code, get, greeted, ok, post, watchRejections } from "../support/exchanges.ts";
import { agentHello, messageOf } from "../support/pair.ts";

watchRejections();

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
