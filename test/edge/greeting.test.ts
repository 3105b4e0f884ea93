/** Which session a socket gets, and who is turned away: what anybody with a token may send as the first message. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Exchange } from "../../codec/exchange.ts";
import type { Hello } from "../../codec/frame.ts";
import { isHello, readHello, writeHello } from "../../codec/greeting.ts";
import { testAgent } from "../support/joined.ts";
import {
  type ConnectOptions,
  FakeAgent,
  newAgentId,
  newService,
  reply,
  send,
  upgrade,
} from "./support/agent.ts";
import { signToken } from "./support/token.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const protocolError = 4001;

/** A socket that says what a test wants. */
class Stranger {
  readonly ws: WebSocket;
  /** The edge's HELLO. */
  readonly hello: Promise<Hello>;
  readonly closed: Promise<{ code: number; reason: string }>;

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.binaryType = "arraybuffer";
    const hello = Promise.withResolvers<Hello>();
    const closed = Promise.withResolvers<{ code: number; reason: string }>();
    ws.addEventListener("message", ({ data }) => {
      const message = new Uint8Array(data as ArrayBuffer);
      if (isHello(message)) hello.resolve(readHello(message));
    });
    ws.addEventListener("close", ({ code, reason }) => closed.resolve({ code, reason }));
    ws.accept();
    this.hello = hello.promise;
    this.closed = closed.promise;
  }

  static async dial(options: ConnectOptions): Promise<Stranger> {
    const { webSocket } = await upgrade(options);
    if (webSocket === null) throw new Error("refused");
    return new Stranger(webSocket);
  }

  greet(session = "", received = 0): this {
    this.ws.send(writeHello(testAgent, session, received));
    return this;
  }
}

interface Live {
  readonly service: string;
  readonly identity: { readonly service: string; readonly agent: string; readonly token: string };
  readonly agent: FakeAgent;
  /** A request in flight, of whose answer "half" is out. */
  readonly exchange: Exchange;
  readonly answer: Response;
}

/** An agent with a request in flight. */
async function live(): Promise<Live> {
  const service = newService();
  const identity = { service, agent: newAgentId(), token: await signToken({ service }) };
  const begun = Promise.withResolvers<Exchange>();
  const agent = await FakeAgent.connect({
    ...identity,
    origin: (exchange) => {
      if (exchange.request.path !== "/held") return reply(exchange, "live");
      exchange.respond({ status: 200, reason: "OK", headers: [], length: "unknown" });
      exchange.outgoing.write(new TextEncoder().encode("half"));
      begun.resolve(exchange);
    },
  });
  const answer = await send(service, "/held");
  return { service, identity, agent, exchange: await begun.promise, answer };
}

/** The live session is as it was: it finishes what it had, on the socket that it had. */
async function expectUnharmed({ exchange, answer, agent }: Live): Promise<void> {
  exchange.outgoing.write(new TextEncoder().encode(" and half"));
  exchange.outgoing.end();
  expect(await answer.text()).toBe("half and half");
  expect(agent.resumed).toEqual([false]);
  agent.close();
}

describe("a live session is not harmed by", () => {
  test.each([
    ["another agent with its own token", (service: string) => ({ service })],
    [
      "its id with another token",
      (service: string, { agent }: { agent: string }) => ({ service, agent }),
    ],
    [
      "its token with another id",
      (service: string, { token }: { token: string }) => ({ service, token }),
    ],
  ])("%s that names it", async (_, as) => {
    const all = await live();
    const { service, identity, agent } = all;
    const stranger = await Stranger.dial(as(service, identity));
    const { session, received } = await stranger.greet(agent.session.id, 1).hello;
    expect([session === agent.session.id, received]).toEqual([false, 0]);
    await expectUnharmed(all);
    stranger.ws.close(4041);
  });

  test.each([
    ["more messages than were sent", 1_000_000],
    ["fewer than it has acknowledged", 0],
  ])("its own identity that has received %s", async (_, received) => {
    const all = await live();
    // So many small requests that their ACKs are out.
    for (let i = 0; i < 40; i++) await (await send(all.service)).text();
    const stranger = await Stranger.dial(all.identity);
    stranger.greet(all.agent.session.id, received);
    expect(await stranger.closed).toMatchObject({
      code: protocolError,
      reason: expect.stringMatching(/^protocol-error/),
    });
    expect(await (await send(all.service)).text()).toBe("live");
    await expectUnharmed(all);
  });

  test("its own identity that names a session of another time", async () => {
    const all = await live();
    const stranger = await Stranger.dial(all.identity);
    const { session } = await stranger.greet(crypto.randomUUID(), 7).hello;
    expect(session).not.toBe(all.agent.session.id);
    await expectUnharmed(all);
    stranger.ws.close(4041);
  });

  test.each<[string, string | Uint8Array, string]>([
    ["text", "hello", "protocol-error: a text message"],
    ["garbage", new Uint8Array([0xc1, 0xc1]), "protocol-error"],
    ["no bytes", new Uint8Array(0), "protocol-error"],
    ["another frame than HELLO", new Uint8Array([0x92, 6, 1]), "protocol-error"],
    ["half a HELLO", writeHello(testAgent, "", 0).subarray(0, 9), "protocol-error"],
  ])("a socket of its own identity that begins with %s", async (_, message, reason) => {
    const all = await live();
    const stranger = await Stranger.dial(all.identity);
    stranger.ws.send(message);
    const closed = await stranger.closed;
    expect(closed.code).toBe(protocolError);
    expect(closed.reason.slice(0, reason.length)).toBe(reason);
    await expectUnharmed(all);
  });
});

test("a session moves to the socket that resumes it, and the socket before is closed and heard no more", async () => {
  const all = await live();
  const { agent, service, identity, exchange, answer } = all;
  const before = agent.ws;
  const wasClosed = agent.closed;
  await agent.redial();
  expect(await wasClosed).toMatchObject({ code: 1000 });
  expect(before.readyState).not.toBe(WebSocket.READY_STATE_OPEN);
  expect(agent.resumed).toEqual([false, true]);
  // Its own HELLO once more, over a third socket: a duplicate is as good as the first.
  await agent.redial();
  expect(agent.resumed).toEqual([false, true, true]);
  expect(await (await send(service)).text()).toBe("live");
  exchange.outgoing.end();
  expect(await answer.text()).toBe("half");
  expect(identity.service).toBe(service);
  agent.close();
});

test("a HELLO that got lost with its answer begins the same session anew", async () => {
  const service = newService();
  const identity = { service, agent: newAgentId(), token: await signToken({ service }) };
  const first = await Stranger.dial(identity);
  const { session } = await first.greet().hello;
  const second = await Stranger.dial(identity);
  expect(await second.greet().hello).toMatchObject({ session, received: 0 });
  expect(await first.closed).toMatchObject({ code: 1000 });
  second.ws.close(4041);
});

test.each([
  ["a second HELLO", (session: string) => writeHello(testAgent, session, 0)],
  ["half of one", (session: string) => writeHello(testAgent, session, 0).subarray(0, 40)],
])("%s on one socket ends its session, and what it has", async (_, messageFor) => {
  const { agent, answer, service } = await live();
  agent.ws.send(messageFor(agent.session.id));
  expect(await agent.closed).toEqual({
    code: protocolError,
    reason: expect.stringMatching(/^protocol-error/),
  });
  await expect(answer.text()).rejects.toThrow();
  expect((await send(service)).headers.get("sluice-error")).toBe("agent-offline");
});

test("a socket that says no HELLO within ten seconds is closed, and one that does is not", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const service = newService();
  const stub = env.CORRELATOR.getByName(service);
  const pass = (ms: number): Promise<void> =>
    runInDurableObject(stub, () => void vi.advanceTimersByTime(ms));
  const silent = await Stranger.dial({ service });
  const good = await FakeAgent.connect({
    service,
    origin: (exchange) => reply(exchange, "still here"),
  });
  let closed = false;
  void silent.closed.then(() => (closed = true));
  await pass(9999);
  expect(await (await send(service)).text()).toBe("still here");
  expect(closed).toBe(false);
  await pass(1);
  expect(await silent.closed).toEqual({ code: 1001, reason: "no HELLO in time" });
  expect(await (await send(service)).text()).toBe("still here");
  good.close();
});

test("of 64 agents each may come back over another socket, and no 65th may come", async () => {
  const service = newService();
  const origin = (exchange: Exchange): void => reply(exchange, "here");
  const agents = await Promise.all(
    Array.from({ length: 64 }, () => FakeAgent.connect({ service, origin })),
  );
  expect((await upgrade({ service })).status).toBe(429);
  const [first] = agents;
  await first?.redial();
  expect(first?.resumed).toEqual([false, true]);
  expect((await upgrade({ service })).status).toBe(429);
  for (const agent of agents) agent.close();
});
