/** A session as shells rely on it: pausing, draining, limits, and its end. */
import { describe, expect, test, vi } from "vitest";
import { errors, type TunnelError } from "../../codec/errors.ts";
import { INITIAL_WINDOW_BYTES, PING_AFTER_MS, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import { patterned } from "../support/arbitraries.ts";
import {
  code,
  get,
  greeted,
  ok,
  opened,
  post,
  textOf,
  watchRejections,
} from "../support/exchanges.ts";
import { agentHello, messageOf } from "../support/pair.ts";

watchRejections();

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

  test("says of a request that never left that it may go elsewhere, and of no other", async () => {
    const { pair } = await greeted();
    const sent = pair.edge.session.open(post);
    pair.edge.transport.turn();
    pair.edge.transport.full = true;
    const unsent = pair.edge.session.open(post);
    unsent.outgoing.write(new Uint8Array(10));
    pair.edge.transport.turn();
    const answers = [sent, unsent].map((exchange) => exchange.answer().catch(code));
    pair.edge.session.lost();
    expect(await Promise.all(answers)).toEqual(["agent-lost", "agent-offline"]);
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
