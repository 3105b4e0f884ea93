/** The edge's end of an agent's sockets, met with messages written by hand: who gets which session. */
import { describe, expect, test } from "vitest";
import { TunnelError } from "../../codec/errors.ts";
import type { Frame, Hello } from "../../codec/frame.ts";
import { HELLO_WITHIN_MS } from "../../codec/limits.ts";
import { get, watchRejections } from "../support/exchanges.ts";
import { closeCode, hellos, ListenerScene } from "../support/listening.ts";
import { agentHello, MemoryTransport } from "../support/pair.ts";

watchRejections();

const ping: Frame = { kind: "ping", token: 1 };

describe("a socket", () => {
  test("that says HELLO gets a session, whose name the answer tells", () => {
    const scene = new ListenerScene();
    const transport = scene.greet();
    expect(hellos(transport)).toEqual([["s1", 0]]);
    expect([scene.told, scene.listener.size]).toEqual([["s1 greeted"], 1]);
  });

  test("that says nothing is expected to, for a while", () => {
    const scene = new ListenerScene();
    const transport = scene.accept();
    expect([scene.listener.expecting, scene.listener.size]).toEqual([true, 1]);
    scene.pass(HELLO_WITHIN_MS);
    expect([scene.listener.expecting, scene.listener.size]).toEqual([false, 0]);
    expect(transport.closed?.code).toBe(1001);
    // Too late.
    scene.say(transport);
    expect(scene.told).toEqual([]);
  });

  test("is not waited for any more when it has said HELLO, or is gone", () => {
    const scene = new ListenerScene();
    scene.greet();
    scene.listener.lost(scene.accept("other"), 1006, "");
    expect([scene.platform.timers, scene.listener.size]).toEqual([0, 1]);
    scene.pass(HELLO_WITHIN_MS);
    expect(scene.told).toEqual(["s1 greeted"]);
  });

  test("that is opened while another of the same agent has said nothing makes that one go", () => {
    const scene = new ListenerScene();
    const [first, stranger] = [scene.accept(), scene.accept("other")];
    const second = scene.accept();
    expect([first, stranger, second].map(({ closed }) => closed?.code)).toEqual([
      1001,
      undefined,
      undefined,
    ]);
  });

  test("that begins with anything else is closed, and so is one that adds to its HELLO", () => {
    const scene = new ListenerScene();
    const hello: Frame = { kind: "hello", session: "", received: 0, ...agentHello };
    for (const frames of [[ping], [hello, ping], [ping, hello]]) {
      const transport = scene.accept();
      scene.receive(transport, ...frames);
      expect(transport.closed?.code).toBe(closeCode("protocol-error"));
    }
    expect([scene.told, scene.listener.size, scene.platform.timers]).toEqual([[], 0, 0]);
  });

  test("that says HELLO twice is closed, and its session ends", () => {
    const scene = new ListenerScene();
    const transport = scene.greet();
    const exchange = scene.open();
    scene.say(transport, { session: "s1" });
    expect([transport.closed?.code, exchange.error?.code]).toEqual([
      closeCode("protocol-error"),
      "protocol-error",
    ]);
    expect([scene.told, scene.listener.size]).toEqual([["s1 greeted", "s1 left"], 0]);
  });

  test("that is refused takes its session along, but not one that has left it", () => {
    const scene = new ListenerScene();
    const first = scene.greet();
    const exchange = scene.open();
    scene.receive(first, ping);
    const second = scene.greet({ session: "s1", received: 2 });
    scene.listener.refuse(first, new TunnelError("protocol-error"));
    expect([exchange.error, second.closed]).toEqual([undefined, undefined]);
    scene.listener.refuse(second, new TunnelError("protocol-error"));
    expect([exchange.error?.code, second.closed?.code]).toEqual([
      "protocol-error",
      closeCode("protocol-error"),
    ]);
  });
});

describe("an agent that comes back", () => {
  test("goes on with the session it names: told what has arrived, and sent what has not", () => {
    const scene = new ListenerScene();
    const first = scene.greet();
    const exchange = scene.open();
    scene.receive(first, ping);
    // HELLO, PING, REQUEST, and the PONG: three of them are numbered.
    expect(first.sent).toHaveLength(4);
    scene.listener.lost(first, 1006, "");
    expect([scene.listener.expecting, scene.listener.knows("agent")]).toEqual([true, true]);
    const second = scene.greet({ session: "s1", received: 2 });
    expect(hellos(second)).toEqual([["s1", 1]]);
    expect(second.sent[1]).toEqual(first.sent[3]);
    expect([exchange.error, scene.member("s1").transport, scene.listener.expecting]).toEqual([
      undefined,
      second,
      false,
    ]);
    expect(scene.platform.timers).toBe(0);
    expect(scene.told).toEqual(["s1 greeted", "s1 greeted"]);
  });

  test("before its last socket was lost takes the session over, and that one is closed", () => {
    const scene = new ListenerScene();
    const first = scene.greet();
    const exchange = scene.open();
    scene.receive(first, ping);
    scene.greet({ session: "s1", received: 1 });
    expect(first.closed).toEqual({
      code: 1000,
      reason: "the session goes on over another socket",
    });
    // What still comes of it is for nobody.
    scene.receive(first, { kind: "cancel", stream: 1, code: "cancelled", note: "" });
    scene.listener.lost(first, 1000, "");
    expect([exchange.error, scene.listener.size]).toEqual([undefined, 1]);
    expect(scene.member("s1").session.ready).toBe(true);
  });

  test("without a name gets what it may never have heard of", () => {
    const scene = new ListenerScene();
    const first = scene.greet();
    const exchange = scene.open();
    scene.listener.lost(first, 1006, "");
    const second = scene.greet();
    // All from the beginning, and a new PING.
    expect(second.sent.slice(1, -1)).toEqual(first.sent.slice(1));
    expect([hellos(second), exchange.error, scene.listener.size]).toEqual([
      [["s1", 0]],
      undefined,
      1,
    ]);
  });

  test("without a name gets nothing that it has heard of: a session of its own, beside", () => {
    const scene = new ListenerScene();
    const first = scene.greet();
    scene.open();
    scene.receive(first, ping);
    scene.listener.lost(first, 1006, "");
    const second = scene.greet();
    expect(hellos(second)).toEqual([["s2", 0]]);
    expect(scene.members.map(({ session, eclipsed }) => [session.id, eclipsed])).toEqual([
      ["s1", true],
      ["s2", false],
    ]);
  });

  test("as the one before again is the one that gets requests again", () => {
    const scene = new ListenerScene();
    const first = scene.greet();
    scene.open();
    scene.receive(first, ping);
    scene.listener.lost(first, 1006, "");
    scene.greet({ session: "unheard of" });
    // With nothing to finish it would go.
    scene.open("s2");
    scene.greet({ session: "s1", received: 2 });
    expect(scene.members.map(({ session, eclipsed }) => [session.id, eclipsed])).toEqual([
      ["s2", true],
      ["s1", false],
    ]);
  });

  test("gets nothing of another's, whatever it names", () => {
    const scene = new ListenerScene();
    const first = scene.greet();
    const exchange = scene.open();
    const thief = scene.greet({ session: "s1" }, "thief");
    expect([hellos(thief), thief.frames().flat().length]).toEqual([[["s2", 0]], 2]);
    expect([exchange.error, first.closed, scene.member("s1").eclipsed]).toEqual([
      undefined,
      undefined,
      false,
    ]);
  });

  test.each([
    ["more than was sent", 4],
    ["less than it has acknowledged", 1],
  ])("and claims to have received %s is refused, and the session unharmed", (_, received) => {
    const scene = new ListenerScene();
    const first = scene.greet();
    const exchange = scene.open();
    scene.receive(first, ping, { kind: "ack", received: 2 });
    const before = first.sent.length;
    const forged = scene.greet({ session: "s1", received });
    expect([forged.closed?.code, forged.sent]).toEqual([closeCode("protocol-error"), []]);
    expect([exchange.error, first.closed, first.sent.length]).toEqual([
      undefined,
      undefined,
      before,
    ]);
    expect(scene.member("s1").transport).toBe(first);
    // Both sides of each bound.
    for (const possible of [2, 3]) {
      expect(scene.greet({ session: "s1", received: possible }).closed).toBeUndefined();
    }
  });
});

describe("an edge that has slept", () => {
  /** An edge that remembers of its agent what its HELLO said. */
  function woken(): { readonly scene: ListenerScene; readonly transport: MemoryTransport } {
    const scene = new ListenerScene();
    const transport = new MemoryTransport(scene.platform);
    scene.listener.revive(transport, "agent", {
      kind: "hello",
      session: "before",
      received: 9,
      ...agentHello,
    });
    return { scene, transport };
  }

  test("is ready at once, and says nothing before it has something to say", () => {
    const { scene, transport } = woken();
    expect([scene.member("s1").session.ready, transport.sent, scene.platform.timers]).toEqual([
      true,
      [],
      0,
    ]);
    scene.open();
    expect(transport.frames().map((frames) => frames.map(({ kind }) => kind))).toEqual([
      ["hello"],
      ["request"],
    ]);
  });

  test("knows its agent's answer by the session it names", () => {
    const { scene, transport } = woken();
    scene.open();
    scene.say(transport, { session: "before" });
    expect([scene.told, transport.closed]).toEqual([[], undefined]);
    scene.say(transport, { session: "s1" });
    expect(scene.told).toEqual(["s1 greeted"]);
    // From now on it is a socket like any other.
    scene.say(transport, { session: "s1" });
    expect(transport.closed?.code).toBe(closeCode("protocol-error"));
  });

  test("gives the session to the agent's next socket, if that comes first", () => {
    const { scene, transport } = woken();
    const next = scene.greet({ session: "before", received: 9 });
    expect([hellos(next), transport.closed?.code, scene.listener.size]).toEqual([
      [["s1", 0]],
      1000,
      1,
    ]);
  });

  test("beside more than one socket of an agent gives it none of those that it has left", () => {
    const { scene } = woken();
    const hello: Hello = { kind: "hello", session: "before", received: 9, ...agentHello };
    scene.listener.revive(new MemoryTransport(scene.platform), "agent", hello);
    const first = scene.greet({ session: "before", received: 9 });
    scene.receive(first, ping);
    const second = scene.greet();
    expect([hellos(first), hellos(second)]).toEqual([[["s1", 0]], [["s3", 0]]]);
  });

  test("begins anew on the same socket when the stream ids are used up", () => {
    const scene = new ListenerScene();
    const transport = scene.greet();
    const { session } = scene.member("s1");
    scene.listener.renew(scene.member("s1"));
    expect([scene.told, transport.closed]).toEqual([["s1 greeted", "s1 left"], undefined]);
    expect(() => session.open(get)).toThrow(expect.objectContaining({ code: "agent-offline" }));
    const exchange = scene.open("s2");
    expect([exchange.stream, hellos(transport)]).toEqual([
      1,
      [
        ["s1", 0],
        ["s2", 0],
      ],
    ]);
  });
});
