/** The agent's end of one socket after the other, met with messages written by hand. */
import { describe, expect, test } from "vitest";
import { Budget } from "../../codec/budget.ts";
import { Dialer } from "../../codec/dialer.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { Frame, Hello } from "../../codec/frame.ts";
import { GRACE_MS } from "../../codec/limits.ts";
import { get, ok, watchRejections } from "../support/exchanges.ts";
import { closeCode, hellos } from "../support/listening.ts";
import {
  agentHello,
  edgeHello,
  MemoryPlatform,
  MemoryTransport,
  messageOf,
} from "../support/pair.ts";

watchRejections();

/** A dialer, and edges that say what a test makes them say. */
class Scene {
  readonly clock = { now: 1000 };
  readonly platform = new MemoryPlatform(this.clock);
  readonly accepted: Exchange[] = [];
  /** What the dialer told. */
  readonly told: string[] = [];
  readonly budget = new Budget();
  readonly dialer = new Dialer({
    platform: this.platform,
    introduction: agentHello,
    accept: (exchange) => this.accepted.push(exchange),
    connected: ({ id }, resumed) => this.told.push(`${id} ${resumed ? "resumed" : "begun"}`),
    draining: (code, note) => this.told.push(`${code} ${note}`),
    budget: this.budget,
  });

  /** A socket is open. */
  dial(): MemoryTransport {
    const transport = new MemoryTransport(this.platform);
    this.dialer.open(transport);
    return transport;
  }

  /** A socket is open, and the edge has answered. */
  connect(hello: Partial<Hello> = {}): MemoryTransport {
    const transport = this.dial();
    this.say(transport, hello);
    return transport;
  }

  /** A HELLO of the edge arrives. */
  say(transport: MemoryTransport, hello: Partial<Hello> = {}): void {
    this.receive(transport, { kind: "hello", session: "s1", received: 0, ...edgeHello, ...hello });
  }

  receive(transport: MemoryTransport, ...frames: Frame[]): void {
    this.dialer.receive(transport, messageOf(...frames));
    this.platform.turn();
  }

  /** A request arrives. */
  request(transport: MemoryTransport, stream = 1): Exchange {
    this.receive(transport, { kind: "request", stream, credit: 1000, head: get });
    const exchange = this.accepted.at(-1);
    if (exchange?.stream !== stream) throw new Error("the request was not accepted");
    return exchange;
  }

  pass(ms: number): void {
    this.clock.now += ms;
    this.platform.ring();
  }
}

describe("a new socket", () => {
  test("is greeted with no session at first, and with the session and what it received from then on", () => {
    const scene = new Scene();
    const first = scene.connect();
    scene.request(first);
    scene.dialer.lost(first, 1006, "");
    const second = scene.dial();
    expect([hellos(first), hellos(second)]).toEqual([[["", 0]], [["s1", 1]]]);
  });

  test("that names the same session is sent what did not arrive, once", () => {
    const scene = new Scene();
    const first = scene.connect();
    const exchange = scene.request(first);
    exchange.respond(ok);
    scene.platform.turn();
    exchange.outgoing.write(new Uint8Array(10));
    scene.platform.turn();
    scene.dialer.lost(first, 1006, "");
    const second = scene.connect({ received: 1 });
    expect(second.sent.slice(1)).toEqual(first.sent.slice(2));
    expect([scene.told, exchange.error, scene.platform.timers]).toEqual([
      ["s1 begun", "s1 resumed"],
      undefined,
      0,
    ]);
  });

  test("that names another session ends the exchanges of the one before, at once", () => {
    const scene = new Scene();
    const first = scene.connect();
    const exchange = scene.request(first);
    const order: string[] = [];
    exchange.onCancel = (error) => order.push(error.code);
    scene.dialer.lost(first, 1006, "");
    const second = scene.connect({ session: "s2" });
    expect([order, scene.told, scene.dialer.streams]).toEqual([
      ["agent-lost"],
      ["s1 begun", "s2 begun"],
      0,
    ]);
    expect(scene.budget.usedBytes).toBe(0);
    // And serves: its numbers and stream ids begin anew.
    expect(scene.request(second).error).toBeUndefined();
    scene.dialer.lost(second, 1006, "");
    expect(hellos(scene.dial())).toEqual([["s2", 1]]);
  });

  test("that claims what was never sent ends everything", () => {
    const scene = new Scene();
    const first = scene.connect();
    const exchange = scene.request(first);
    scene.dialer.lost(first, 1006, "");
    const second = scene.connect({ received: 1 });
    expect([second.closed?.code, exchange.error?.code]).toEqual([
      closeCode("protocol-error"),
      "protocol-error",
    ]);
    expect(scene.platform.timers).toBe(0);
  });

  test("that names a session which has ended here is refused: its requests would be served twice", () => {
    const scene = new Scene();
    const first = scene.connect();
    scene.request(first);
    scene.dialer.lost(first, 1006, "");
    scene.pass(GRACE_MS);
    const second = scene.connect();
    expect(hellos(second)).toEqual([["", 0]]);
    expect([second.closed?.code, scene.accepted.length]).toEqual([closeCode("agent-lost"), 1]);
  });

  test("that begins with anything but HELLO is closed", () => {
    const scene = new Scene();
    const transport = scene.dial();
    scene.receive(transport, { kind: "ping", token: 1 });
    expect([transport.closed?.code, scene.told]).toEqual([closeCode("protocol-error"), []]);
  });

  test("makes those before it unheard", () => {
    const scene = new Scene();
    const first = scene.connect();
    const exchange = scene.request(first);
    const second = scene.connect({ received: 0 });
    scene.receive(first, { kind: "cancel", stream: 1, code: "cancelled", note: "" });
    scene.say(first, { session: "s9" });
    scene.dialer.lost(first, closeCode("replaced"), "");
    expect([exchange.error, scene.dialer.session?.id, scene.dialer.greeted]).toEqual([
      undefined,
      "s1",
      true,
    ]);
    expect(second.closed).toBeUndefined();
  });
});

describe("a lost socket", () => {
  test.each([5000, 0])("leaves exchanges the grace that the edge gives: %i ms", (grace) => {
    const scene = new Scene();
    const transport = scene.connect({ grace });
    const exchange = scene.request(transport);
    scene.dialer.lost(transport, 1006, "");
    if (grace > 0) {
      scene.pass(grace - 1);
      expect(exchange.error).toBeUndefined();
      scene.pass(1);
    } else scene.pass(0);
    expect([exchange.error?.code, scene.platform.timers]).toEqual(["agent-lost", 0]);
    expect([scene.dialer.session, scene.budget.usedBytes]).toEqual([undefined, 0]);
  });

  test("counts the grace from the first loss, though others follow before the edge has answered", () => {
    const scene = new Scene();
    const first = scene.connect();
    const exchange = scene.request(first);
    scene.dialer.lost(first, 1006, "");
    scene.pass(GRACE_MS - 1);
    scene.dialer.lost(scene.dial(), 1006, "");
    scene.pass(1);
    expect([exchange.error?.code, scene.platform.timers]).toEqual(["agent-lost", 0]);
  });

  test("counts it anew once the edge has answered", () => {
    const scene = new Scene();
    const first = scene.connect();
    const exchange = scene.request(first);
    scene.dialer.lost(first, 1006, "");
    scene.pass(GRACE_MS - 1);
    scene.dialer.lost(scene.connect(), 1006, "");
    scene.pass(GRACE_MS - 1);
    expect(exchange.error).toBeUndefined();
    scene.pass(1);
    expect(exchange.error?.code).toBe("agent-lost");
  });

  test("with a code of the error table ends the session at once", () => {
    const scene = new Scene();
    const transport = scene.connect();
    const exchange = scene.request(transport);
    scene.dialer.lost(transport, closeCode("replaced"), "why");
    expect(exchange.error).toMatchObject({ code: "replaced", note: "why" });
    expect([scene.dialer.session, scene.platform.timers]).toEqual([undefined, 0]);
    expect(hellos(scene.dial())).toEqual([["", 0]]);
  });

  test("before any greeting is nothing", () => {
    const scene = new Scene();
    scene.dialer.lost(scene.dial(), 1006, "");
    expect([scene.dialer.session, scene.platform.timers]).toEqual([undefined, 0]);
  });
});

describe("an edge that woke from sleep, on the same socket", () => {
  test("is answered with its own session's name, and what was before has failed", () => {
    const scene = new Scene();
    const transport = scene.connect();
    const exchange = scene.request(transport);
    scene.say(transport, { session: "s2" });
    expect(exchange.error?.code).toBe("agent-lost");
    expect(hellos(transport)).toEqual([
      ["", 0],
      ["s2", 0],
    ]);
    // It is the same connection.
    expect(scene.told).toEqual(["s1 begun"]);
    expect(scene.request(transport).error).toBeUndefined();
    scene.dialer.lost(transport, 1006, "");
    expect(hellos(scene.dial())).toEqual([["s2", 1]]);
  });

  test("does not make the round trip as long as its sleep was", () => {
    const scene = new Scene();
    const transport = scene.dial();
    scene.clock.now += 20;
    scene.say(transport);
    expect(scene.dialer.session?.rttMs).toBe(20);
    scene.clock.now += 3_600_000;
    scene.say(transport, { session: "s2" });
    expect(scene.dialer.session?.rttMs).toBe(20);
  });
});

describe("draining", () => {
  const goaways = (transport: MemoryTransport): string[] =>
    transport
      .frames()
      .flat()
      .flatMap((frame) => (frame.kind === "goaway" ? [`${frame.code} ${frame.note}`] : []));

  test("is said, and said again to an edge that has forgotten it", () => {
    const scene = new Scene();
    const first = scene.connect();
    scene.dialer.drain("SIGTERM");
    scene.platform.turn();
    scene.dialer.lost(first, 1006, "");
    const second = scene.connect({ session: "s2" });
    scene.platform.turn();
    scene.say(second, { session: "s3" });
    scene.platform.turn();
    expect([goaways(first), goaways(second)]).toEqual([
      ["draining SIGTERM"],
      ["draining SIGTERM", "draining SIGTERM"],
    ]);
  });

  test("is not said twice in a session that goes on, but for what did not arrive", () => {
    const scene = new Scene();
    const first = scene.connect();
    scene.request(first);
    scene.dialer.drain("SIGTERM");
    scene.platform.turn();
    scene.dialer.lost(first, 1006, "");
    const second = scene.connect({ received: 1 });
    expect(goaways(second)).toEqual([]);
    scene.dialer.lost(second, 1006, "");
    // One that has told of it before it had a session says so in the first.
    const other = new Scene();
    other.dialer.drain("SIGTERM");
    const transport = other.connect();
    expect(goaways(transport)).toEqual(["draining SIGTERM"]);
  });

  test("of the edge is told", () => {
    const scene = new Scene();
    const transport = scene.connect();
    scene.receive(transport, { kind: "goaway", last: 0, code: "replaced", note: "by another" });
    expect(scene.told).toEqual(["s1 begun", "replaced by another"]);
  });
});

describe("ending", () => {
  test("closes the socket with the code, and fails what is in flight", () => {
    const scene = new Scene();
    const transport = scene.connect();
    const exchange = scene.request(transport);
    scene.dialer.end("shutting-down", "SIGTERM");
    expect([transport.closed, exchange.error?.code]).toEqual([
      { code: closeCode("shutting-down"), reason: "shutting-down: SIGTERM" },
      "shutting-down",
    ]);
  });

  test("works without a socket, and before the edge has answered on one", () => {
    const scene = new Scene();
    const first = scene.connect();
    const exchange = scene.request(first);
    scene.dialer.lost(first, 1006, "");
    const second = scene.dial();
    scene.dialer.end("shutting-down", "");
    expect([second.closed?.code, exchange.error?.code, scene.platform.timers]).toEqual([
      closeCode("shutting-down"),
      "shutting-down",
      0,
    ]);
    const other = new Scene();
    other.dialer.end("shutting-down", "");
    expect(other.dialer.session).toBeUndefined();
  });
});
