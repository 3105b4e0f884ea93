import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Socket } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { Dial, type DialOptions, type Ending } from "../../agent/connection/dial.ts";
import { SOFTWARE } from "../../agent/software.ts";
import { Dialer, type DialerOptions } from "../../codec/dialer.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { MAX_MESSAGE_BYTES, PROTOCOL } from "../../codec/limits.ts";
import type { Session } from "../../codec/session.ts";
import { testAgent, testPlatform } from "../support/joined.ts";
import { poll, within } from "../support/until.ts";
import { FakeEdge } from "./fake-edge.ts";

const token = "the.token.itself";
let edge: FakeEdge | undefined;
let dialer: Dialer | undefined;
let dial: Dial | undefined;

afterEach(async () => {
  vi.useRealTimers();
  dialer?.end("shutting-down", "");
  dial?.abandon("the test is over");
  await edge?.stop();
});

/** Dials with a new dialer; `options` are both's. */
function call(url: URL, options: Partial<DialerOptions & DialOptions> = {}): Dial {
  const target = new URL("/websocket/shop", url);
  target.protocol = "ws:";
  dialer = new Dialer({
    platform: testPlatform(setImmediate),
    introduction: { ...testAgent, software: SOFTWARE },
    accept: () => {},
    connected: () => {},
    draining: () => {},
    ...options,
  });
  dial = new Dial({
    url: target,
    token,
    id: "an-id-of-22-characters",
    replace: false,
    measured: () => {},
    faulty: (error) => {
      throw error;
    },
    dialer,
    ...options,
  });
  return dial;
}

async function ending(of: Dial): Promise<Ending> {
  return within(of.ended, "the end of the dial");
}

test("it asks for the service with the token, its id and the subprotocol, and greets", async () => {
  edge = await FakeEdge.start();
  const { promise, resolve } = Promise.withResolvers<Session>();
  call(edge.url, { connected: resolve });
  const session = await within(promise, "the edge's HELLO");
  expect(session.id).toBe("session-1");
  expect(session.ready).toBe(true);
  const { url, headers } = (await edge.caller()).request;
  expect(url).toBe("/websocket/shop");
  expect(headers).toMatchObject({
    authorization: `Bearer ${token}`,
    "sluice-agent": "an-id-of-22-characters",
    "sec-websocket-protocol": PROTOCOL,
  });
  expect(headers["sec-websocket-extensions"]).toBeUndefined();
  expect((await edge.caller()).session.peer?.software).toMatch(/^sluice-agent\/\d/);
});

test("exchanges that the edge opens arrive, and answers go back, larger than every buffer between", async () => {
  edge = await FakeEdge.start();
  const bytes = randomBytes(8 * 1024 * 1024);
  call(edge.url, {
    accept: (exchange) => {
      void (async () => {
        exchange.respond({ status: 200, reason: "", headers: [], length: bytes.length });
        for (let at = 0; at < bytes.length; at += 65_536) {
          const piece = bytes.subarray(at, at + 65_536);
          if (!exchange.outgoing.write(piece)) await exchange.outgoing.ready();
        }
        exchange.outgoing.end();
      })();
    },
  });
  const { session } = await edge.caller();
  const exchange = session.open({ method: "GET", path: "/", headers: [], length: "none" });
  await exchange.answer();
  const chunks: Uint8Array[] = [];
  for await (const chunk of exchange.incoming) chunks.push(Uint8Array.from(chunk));
  expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
});

test("a refused token is told with status, code and the edge's own sentence", async () => {
  edge = await FakeEdge.start();
  edge.refusal = {
    status: 401,
    fields: { "sluice-error": "unauthorized" },
    body: "The token is wrong. (unauthorized)\n",
  };
  expect(await ending(call(edge.url))).toEqual({
    kind: "refused",
    status: 401,
    code: "unauthorized",
    says: "The token is wrong. (unauthorized)",
    retryAfterMs: undefined,
  });
});

test("a refusal for a while is told with its Retry-After", async () => {
  edge = await FakeEdge.start();
  edge.refusal = { status: 429, fields: { "retry-after": "7" }, body: "<html>no</html>" };
  expect(await ending(call(edge.url))).toEqual({
    kind: "refused",
    status: 429,
    code: undefined,
    says: "The edge answered 429.",
    retryAfterMs: 7000,
  });
});

test.each([["sluice.v9"], [false as const]])(
  "a server that chooses the subprotocol %s does not speak ours",
  async (protocol) => {
    edge = await FakeEdge.start();
    edge.protocol = protocol;
    expect(await ending(call(edge.url))).toMatchObject({ kind: "mismatch" });
  },
);

test("nobody there is unreachable", async () => {
  const gone = await FakeEdge.start();
  await gone.stop();
  const end = await ending(call(gone.url));
  expect(end).toMatchObject({ kind: "unreachable" });
  expect(end.kind === "unreachable" && end.says).toContain("ECONNREFUSED");
});

test("the code in a close frame is the code of the session's end", async () => {
  edge = await FakeEdge.start();
  const called = call(edge.url);
  (await edge.caller()).session.end("replaced");
  expect(await ending(called)).toMatchObject({ kind: "lost", code: "replaced" });
});

test("a connection that breaks fails nothing that is open: it waits for the next one", async () => {
  edge = await FakeEdge.start();
  const accepted = Promise.withResolvers<Exchange>();
  const called = call(edge.url, {
    accept: (exchange) => {
      accepted.resolve(exchange);
      (edge as FakeEdge).callers[0]?.ws.terminate();
    },
  });
  const { session } = await edge.caller();
  void session.open({ method: "GET", path: "/", headers: [], length: "none" });
  expect(await ending(called)).toMatchObject({ kind: "lost", code: "agent-lost" });
  expect((await accepted.promise).error).toBeUndefined();
  expect(dialer?.streams).toBe(1);
});

test("a dial that takes over says so", async () => {
  edge = await FakeEdge.start();
  call(edge.url, { replace: true });
  expect((await edge.caller()).request.headers["sluice-replace"]).toBe("1");
});

test("a fault of our own ends the session and the connection, and is told", async () => {
  edge = await FakeEdge.start();
  const faulty = vi.fn<(error: unknown) => void>();
  const called = call(edge.url, {
    faulty,
    accept: () => {
      throw new RangeError("a bug");
    },
  });
  const { session } = await edge.caller();
  const exchange = session.open({ method: "GET", path: "/", headers: [], length: "none" });
  const answer = exchange.answer().catch((error: unknown) => error);
  expect(await ending(called)).toMatchObject({ kind: "lost" });
  expect(faulty).toHaveBeenCalledExactlyOnceWith(expect.any(RangeError));
  expect(await within(answer, "the exchange's failure")).toBeInstanceOf(Error);
});

test.each<[string, string, (ws: WebSocket) => void]>([
  ["a text message", "protocol-error", (ws) => ws.send("text")],
  ["a message that is no frame", "protocol-error", (ws) => ws.send(Buffer.from([0xc1, 0xff]))],
  [
    "a message above 1 MiB",
    "frame-too-large",
    (ws) => ws.send(Buffer.alloc(MAX_MESSAGE_BYTES + 1)),
  ],
])("%s ends the session with %s", async (_what, code, misbehave) => {
  edge = await FakeEdge.start();
  const called = call(edge.url);
  misbehave((await edge.caller()).ws);
  expect(await ending(called)).toMatchObject({ kind: "lost", code });
});

test("ending the session tells the edge, and fails what is open", async () => {
  edge = await FakeEdge.start();
  call(edge.url);
  const caller = await edge.caller();
  dialer?.end("shutting-down", "");
  await edge.until(() => caller.closed, "the close frame");
  expect(caller.closed?.code).toBe(4041);
});

test("giving up while it is still connecting ends it", async () => {
  const silent = createServer();
  const sockets: Socket[] = [];
  silent.on("connection", (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const address = silent.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const called = call(new URL(`http://127.0.0.1:${address.port}`));
  called.abandon("a test");
  expect(await ending(called)).toMatchObject({ kind: "unreachable" });
  for (const socket of sockets) socket.destroy();
  silent.close();
});

test.each([
  ["idle", "one ping in twenty seconds", 20_000],
  ["busy", "one in five", 5000],
])(
  "a connection that is %s is sent %s, stays while it is answered, and is given up five seconds after it is not",
  async (state, _, everyMs) => {
    edge = await FakeEdge.start();
    vi.useFakeTimers({
      toFake: ["setInterval", "setTimeout", "clearTimeout", "clearInterval", "performance"],
    });
    const connected = Promise.withResolvers<Session>();
    const called = call(edge.url, { connected: connected.resolve });
    const session = await connected.promise;
    const caller = edge.callers[0];
    if (caller === undefined) throw new Error("no connection");
    const socket = caller.ws;
    if (state === "busy") {
      void caller.session.open({ method: "GET", path: "/", headers: [], length: "none" });
      while (session.streams === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    vi.advanceTimersByTime(everyMs);
    // ws answers the ping by itself; the agent has its answer when it has answered a later ping of ours.
    await once(socket, "ping");
    socket.ping();
    await once(socket, "pong");
    vi.advanceTimersByTime(everyMs - 1);
    const stays = Promise.resolve("still connected");
    expect(await Promise.race([called.ended, stays])).toBe("still connected");
    socket.pause();
    vi.advanceTimersByTime(5002);
    expect(await called.ended).toMatchObject({ kind: "lost", code: "agent-lost" });
  },
);

test("the answer to a ping is a round trip, once; one that nobody waits for tells nothing", async () => {
  edge = await FakeEdge.start();
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  const connected = Promise.withResolvers<Session>();
  const measured: number[] = [];
  call(edge.url, { connected: connected.resolve, measured: (rttMs) => measured.push(rttMs) });
  await connected.promise;
  const { ws: socket } = await edge.caller();
  /** All that went to the agent before has arrived there. */
  const arrived = async (): Promise<void> => {
    socket.ping();
    await once(socket, "pong");
  };
  let since = 0;
  for (const ms of [18, 25]) {
    socket.pong("1");
    await arrived();
    vi.advanceTimersByTime(20_000 - since);
    const [asked] = (await once(socket, "ping")) as [Buffer];
    // The answer has left, and is on its way for so long.
    vi.advanceTimersByTime(ms);
    since = ms;
    await arrived();
    for (const holds of [asked, "", "1", "2", "3"]) socket.pong(holds);
    await arrived();
  }
  expect(measured).toEqual([18, 25]);
});

test("an edge that opens the connection and says nothing is given up after ten seconds", async () => {
  const server = createHttpServer();
  const sockets = new WebSocketServer({ server });
  const heard = Promise.withResolvers<void>();
  sockets.on("connection", (ws) => ws.once("message", () => heard.resolve()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  vi.useFakeTimers({ toFake: ["setInterval", "setTimeout", "clearTimeout", "clearInterval"] });
  const called = call(new URL(`http://127.0.0.1:${address.port}`));
  // The agent's HELLO: its own time has begun.
  await heard.promise;
  vi.advanceTimersByTime(9999);
  const waits = Promise.resolve("still waiting");
  expect(await Promise.race([called.ended, waits])).toBe("still waiting");
  vi.advanceTimersByTime(1);
  expect(await called.ended).toMatchObject({ kind: "lost", code: "agent-lost" });
  sockets.close();
  server.close();
});

test("what the socket could not take at once follows when it has drained, without a word of the edge", async () => {
  edge = await FakeEdge.start();
  const bytes = 60_000;
  call(edge.url, {
    accept: (exchange) => {
      exchange.respond({ status: 200, reason: "", headers: [], length: bytes });
      exchange.outgoing.write(Buffer.alloc(bytes));
      exchange.outgoing.end();
    },
  });
  const { session } = await edge.caller();
  const head = { method: "GET", path: "/", headers: [], length: "none" } as const;
  // Together far more than may wait for the socket; nothing is read, so no credit goes back to wake the agent.
  const exchanges = Array.from({ length: 80 }, () => session.open(head));
  await poll(() => exchanges.every(({ incoming }) => incoming.complete), "every answer");
});

test("over loopback ws sends the very bytes that it is given: neither copied nor masked", async () => {
  edge = await FakeEdge.start();
  const { promise, resolve } = Promise.withResolvers<Session>();
  const called = call(edge.url, { connected: resolve });
  await within(promise, "the edge's HELLO");
  const caller = await edge.caller();
  const message = Promise.withResolvers<void>();
  caller.ws.removeAllListeners("message");
  caller.ws.once("message", () => message.resolve());
  const seen: Uint8Array[] = [];
  const { _socket: socket } = caller.ws as unknown as { readonly _socket: Socket };
  socket.prependListener("data", (chunk: Buffer) => seen.push(Uint8Array.from(chunk)));
  const bytes = randomBytes(1000);
  called.send(bytes);
  await within(message.promise, "the message");
  expect(Buffer.concat(seen).includes(bytes)).toBe(true);
});
