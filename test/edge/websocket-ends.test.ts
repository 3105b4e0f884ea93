/** How a visitor's WebSocket ends at the edge, with an origin that closes its connection, late or never. */
import { env, exports } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Exchange } from "../../codec/exchange.ts";
import { FakeAgent, newService } from "./support/agent.ts";
import { statusOf, statusWhen } from "./support/status.ts";

/** As long as an origin may take to close its connection. */
const CLOSING_MS = 30_000;

/** Time stands still until a test lets it pass. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Joined {
  readonly service: string;
  readonly visitor: WebSocket;
  readonly visitorClosed: Promise<{ code: number; reason: string }>;
  /** The agent's side: bytes of a WebSocket connection. */
  readonly exchange: Exchange;
  /** How it was cancelled, once it was. */
  readonly cancelled: Promise<string>;
  readonly pass: (ms: number) => Promise<void>;
  readonly leave: () => void;
}

/** A visitor's WebSocket that the origin has accepted. */
async function joined(): Promise<Joined> {
  const service = newService();
  const came = Promise.withResolvers<Exchange>();
  const cancelled = Promise.withResolvers<string>();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      exchange.onCancel = ({ code }) => cancelled.resolve(code);
      exchange.respond({ status: 101, reason: "", headers: [], length: "socket" });
      came.resolve(exchange);
    },
  });
  const { webSocket: visitor } = await exports.default.fetch(`https://edge.test/send/${service}/`, {
    headers: { upgrade: "websocket" },
  });
  if (visitor === null) throw new Error("no WebSocket");
  visitor.accept();
  const visitorClosed = new Promise<{ code: number; reason: string }>((resolve) => {
    visitor.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
  });
  const stub = env.CORRELATOR.getByName(service);
  const pass = (ms: number): Promise<void> =>
    runInDurableObject(stub, () => void vi.advanceTimersByTime(ms));
  // The moment after which the edge looks whether a visitor is still there.
  await pass(100);
  return {
    service,
    visitor,
    visitorClosed,
    exchange: await came.promise,
    cancelled: cancelled.promise,
    pass,
    leave: () => agent.close(),
  };
}

/** A frame as a server sends it: without a mask. */
const frame = (opcode: number, payload: Uint8Array): Uint8Array =>
  Uint8Array.of(0x80 | opcode, payload.length, ...payload);
const text = (words: string): Uint8Array => frame(1, new TextEncoder().encode(words));
const goodbye = frame(8, Uint8Array.of(1000 >> 8, 1000 & 0xff));

/** The opcodes of the frames that the origin got: each comes in a chunk of its own. */
async function opcodesOf({ incoming }: Exchange): Promise<number[]> {
  const opcodes: number[] = [];
  for await (const bytes of incoming) opcodes.push((bytes[0] ?? 0) & 0x0f);
  return opcodes;
}

async function streamsOf(service: string): Promise<unknown> {
  return (await statusOf(service)).agents[0]?.["streams"];
}

describe("a visitor's goodbye", () => {
  test("reaches the origin once, and the origin's own ends the connection", async () => {
    const { service, visitor, visitorClosed, exchange, leave } = await joined();
    visitor.close(1000, "bye");
    expect(await opcodesOf(exchange)).toEqual([8]);
    exchange.outgoing.write(goodbye);
    exchange.outgoing.end();
    await visitorClosed;
    await statusWhen(service, ({ agents: [row] }) => row?.["streams"] === 0);
    // Nothing waits any more, and nothing went wrong.
    expect(vi.getTimerCount()).toBe(0);
    expect((await statusOf(service)).totals["failures"]).toEqual({});
    leave();
  });

  test("that the origin does not answer leaves the stream open for 30 s, and no longer", async () => {
    const { service, visitor, visitorClosed, exchange, cancelled, pass, leave } = await joined();
    visitor.close(1000, "bye");
    expect(await opcodesOf(exchange)).toEqual([8]);
    // It may still have something to say, that nobody hears.
    exchange.outgoing.write(text("too late"));
    await pass(CLOSING_MS - 1);
    expect(await streamsOf(service)).toBe(1);
    await pass(1);
    expect(await cancelled).toBe("origin-timeout");
    await statusWhen(service, ({ agents: [row] }) => row?.["streams"] === 0);
    await visitorClosed;
    expect((await statusOf(service)).totals["failures"]).toEqual({ "origin-timeout": 1 });
    expect(vi.getTimerCount()).toBe(0);
    leave();
  });

  test("that the origin does not even read ends the stream after 30 s too", async () => {
    const { service, visitor, cancelled, pass, leave } = await joined();
    const message = "a".repeat(100_000);
    for (let i = 0; i < 10; i++) visitor.send(message);
    visitor.close(1000, "bye");
    await statusWhen(service, ({ totals }) => Number(totals["bytesFromVisitors"]) > 1_000_000);
    await pass(CLOSING_MS - 1);
    expect(await streamsOf(service)).toBe(1);
    await pass(1);
    expect(await cancelled).toBe("origin-timeout");
    await statusWhen(service, ({ agents: [row] }) => row?.["streams"] === 0);
    leave();
  });
});

describe("an origin's goodbye", () => {
  test("is answered once, and the visitor has it at once, though the connection stays open for 30 s, and no longer", async () => {
    const { service, visitorClosed, exchange, cancelled, pass, leave } = await joined();
    exchange.outgoing.write(goodbye);
    expect(await visitorClosed).toEqual({ code: 1000, reason: "" });
    expect(await opcodesOf(exchange)).toEqual([8]);
    await pass(CLOSING_MS - 1);
    expect(await streamsOf(service)).toBe(1);
    await pass(1);
    expect(await cancelled).toBe("origin-timeout");
    await statusWhen(service, ({ agents: [row] }) => row?.["streams"] === 0);
    leave();
  });

  test("is the last of its words that the visitor hears", async () => {
    const { visitor, visitorClosed, exchange, leave } = await joined();
    const heard: unknown[] = [];
    visitor.addEventListener("message", ({ data }) => void heard.push(data));
    exchange.outgoing.write(text("well"));
    exchange.outgoing.write(goodbye);
    exchange.outgoing.write(text("one more thing"));
    exchange.outgoing.end();
    await visitorClosed;
    expect(heard).toEqual(["well"]);
    expect(await opcodesOf(exchange)).toEqual([8]);
    leave();
  });
});
