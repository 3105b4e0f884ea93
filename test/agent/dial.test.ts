import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import type { WebSocket } from "ws";
import { Dial, type DialOptions, type Ending } from "../../agent/dial.ts";
import { MAX_MESSAGE_BYTES, PROTOCOL } from "../../codec/limits.ts";
import type { Session } from "../../codec/session.ts";
import { poll, within } from "../support/until.ts";
import { FakeEdge } from "./fake-edge.ts";

const token = "the.token.itself";
let edge: FakeEdge | undefined;
let dial: Dial | undefined;

afterEach(async () => {
  vi.useRealTimers();
  dial?.hangUp("shutting-down", "");
  await edge?.stop();
});

function call(url: URL, options: Partial<DialOptions> = {}): Dial {
  const target = new URL("/websocket/shop", url);
  target.protocol = "ws:";
  dial = new Dial({
    url: target,
    token,
    id: "an-id-of-22-characters",
    accept: () => {},
    connected: () => {},
    ...options,
  });
  return dial;
}

async function ending(of: Dial): Promise<Ending> {
  return within(of.ended, "the end of the dial");
}

test("it asks for the service with the token, its id and the subprotocol, and greets", async () => {
  edge = await FakeEdge.start();
  const { promise, resolve } = Promise.withResolvers<[Session, string]>();
  call(edge.url, { connected: (session, peer) => resolve([session, peer.session]) });
  const [session, id] = await within(promise, "the edge's HELLO");
  expect(id).toBe("session-1");
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
  expect(await ending(called)).toMatchObject({ kind: "ended", error: { code: "replaced" } });
});

test("a connection that breaks is agent-lost, and open exchanges fail with it", async () => {
  edge = await FakeEdge.start();
  const { promise, resolve } = Promise.withResolvers<string>();
  const called = call(edge.url, {
    accept: (exchange) => {
      exchange.onCancel = ({ code }) => resolve(code);
      (edge as FakeEdge).callers[0]?.ws.terminate();
    },
  });
  const { session } = await edge.caller();
  session
    .open({ method: "GET", path: "/", headers: [], length: "none" })
    .answer()
    .catch(() => {});
  expect(await within(promise, "the exchange's failure")).toBe("agent-lost");
  expect(await ending(called)).toMatchObject({ kind: "ended", error: { code: "agent-lost" } });
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
  expect(await ending(called)).toMatchObject({ kind: "ended", error: { code } });
});

test("hanging up tells the edge, and fails what is open", async () => {
  edge = await FakeEdge.start();
  const called = call(edge.url);
  const caller = await edge.caller();
  called.hangUp("shutting-down", "");
  await edge.until(() => caller.closed, "the close frame");
  expect(caller.closed?.code).toBe(4041);
});

test("hanging up while it is still connecting ends it", async () => {
  const silent = createServer();
  const sockets: Socket[] = [];
  silent.on("connection", (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const address = silent.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const called = call(new URL(`http://127.0.0.1:${address.port}`));
  called.hangUp("shutting-down", "");
  expect(await ending(called)).toMatchObject({ kind: "unreachable" });
  for (const socket of sockets) socket.destroy();
  silent.close();
});

test("a connection that answers pings stays, and one that does not for ten seconds is given up", async () => {
  edge = await FakeEdge.start();
  vi.useFakeTimers({ toFake: ["setInterval", "setTimeout", "clearTimeout", "clearInterval"] });
  const connected = Promise.withResolvers<void>();
  const called = call(edge.url, { connected: () => connected.resolve() });
  await connected.promise;
  const socket = edge.callers[0]?.ws;
  if (socket === undefined) throw new Error("no connection");
  vi.advanceTimersByTime(20_000);
  // ws answers the ping by itself; the agent has its answer when it has answered a later ping of ours.
  await once(socket, "ping");
  socket.ping();
  await once(socket, "pong");
  vi.advanceTimersByTime(19_999);
  const stays = Promise.resolve("still connected");
  expect(await Promise.race([called.ended, stays])).toBe("still connected");
  socket.pause();
  vi.advanceTimersByTime(10_001);
  expect(await called.ended).toMatchObject({ kind: "ended", error: { code: "agent-lost" } });
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
  const called = call(edge.url, { connected: (session) => resolve(session) });
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
