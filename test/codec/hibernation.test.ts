/** An edge that slept on an open socket: it has forgotten everything, and the agent has not. */
import { describe, expect, test, vi } from "vitest";
import type { TunnelError } from "../../codec/errors.ts";
import type { Frame } from "../../codec/frame.ts";
import {
  bytes,
  code,
  get,
  greeted,
  immediate,
  ok,
  post,
  watchRejections,
} from "../support/exchanges.ts";
import { framesOf, messageOf } from "../support/pair.ts";

watchRejections();

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
