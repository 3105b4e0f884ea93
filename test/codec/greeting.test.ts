/** HELLO: the first message of each end on a socket. */
import { describe, expect, test } from "vitest";
import { errors } from "../../codec/errors.ts";
import type { Frame } from "../../codec/frame.ts";
import { isHello, readHello, writeHello } from "../../codec/greeting.ts";
import { HELLO_WITHIN_MS, MAX_MESSAGE_BYTES } from "../../codec/limits.ts";
import { greeted, watchRejections } from "../support/exchanges.ts";
import { agentHello, edgeHello, messageOf, SessionPair } from "../support/pair.ts";

watchRejections();

describe("the message of a HELLO", () => {
  test("is told from others by its first bytes, and read as it was written", () => {
    const message = writeHello(agentHello, "s1", 7);
    expect([isHello(message), readHello(message)]).toEqual([
      true,
      { kind: "hello", session: "s1", received: 7, ...agentHello },
    ]);
    for (const other of [
      new Uint8Array(),
      new Uint8Array([0x90, 0]),
      new Uint8Array([0xa1, 0]),
      messageOf({ kind: "ping", token: 0 }),
      messageOf(
        { kind: "ping", token: 0 },
        { kind: "hello", session: "", received: 0, ...agentHello },
      ),
    ]) {
      expect(isHello(other)).toBe(false);
    }
  });

  test.each([
    ["nothing", new Uint8Array(), "protocol-error"],
    ["another frame", messageOf({ kind: "ping", token: 1 }), "protocol-error"],
    [
      "more than one frame",
      Buffer.concat([writeHello(agentHello, "", 0), writeHello(agentHello, "", 0)]),
      "protocol-error",
    ],
    ["half of one", writeHello(agentHello, "", 0).subarray(0, 10), "protocol-error"],
    ["more than a message may hold", new Uint8Array(MAX_MESSAGE_BYTES + 1), "frame-too-large"],
  ])("is not %s", (_, message, code) => {
    expect(() => readHello(message)).toThrow(expect.objectContaining({ code }));
  });
});

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
