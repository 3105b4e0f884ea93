/** A visitor's WebSocket reaches the origin's, through both kinds of address, and nothing of it is changed on the way. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { PeakMemory, residentMiB } from "../support/memory.ts";
import type { Program } from "../support/program.ts";
import { Edge } from "../support/tunnel.ts";
import { poll, within } from "../support/until.ts";
import { WebSocketFlood } from "../support/websocket-flood.ts";

const SERVICE = "shop";
const MiB = 1024 * 1024;

let edge: Edge;
let agent: Program;
let http: Server;
/** The origin's sockets, in order. */
const served: { readonly ws: WebSocket; readonly request: IncomingMessage }[] = [];
const sockets = new WebSocketServer({
  noServer: true,
  maxPayload: 64 * MiB,
  handleProtocols: (protocols) => (protocols.has("chat") ? "chat" : false),
});

beforeAll(async () => {
  http = createServer((_request, response) => response.end("plain"));
  http.on("upgrade", (request, socket, head) => {
    const path = request.url ?? "";
    if (path.startsWith("/refuse")) {
      socket.end(
        "HTTP/1.1 403 Forbidden\r\nx-why: because\r\ncontent-length: 7\r\nconnection: close\r\n\r\nnot you",
      );
      return;
    }
    if (path.startsWith("/garbage")) {
      sockets.handleUpgrade(request, socket, head, () => socket.write(Buffer.alloc(10, 0xff)));
      return;
    }
    const accept = (): void =>
      sockets.handleUpgrade(request, socket, head, (ws) => {
        served.push({ ws, request });
        if (path.startsWith("/echo")) ws.on("message", (data, binary) => ws.send(data, { binary }));
      });
    const lateMs = Number(/^\/late\/(\d+)$/.exec(path)?.[1] ?? 0);
    if (lateMs === 0) accept();
    else setTimeout(accept, lateMs);
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  edge = await Edge.start();
  agent = await edge.agent({ service: SERVICE, port: (http.address() as AddressInfo).port });
});

afterAll(async () => {
  await edge.stop();
  for (const { ws } of served) ws.terminate();
  http.closeAllConnections();
  await new Promise((resolve) => http.close(resolve));
});

const prefixed = (path: string): string => `ws://127.0.0.1:${edge.port}/send/${SERVICE}${path}`;

async function open(path: string, protocols: string[] = []): Promise<WebSocket> {
  const ws = new WebSocket(prefixed(path), protocols, { headers: { cookie: "a=b" } });
  await within(once(ws, "open"), "the visitor's socket");
  return ws;
}

/** A visitor's socket and the origin's end of it. */
async function pair(path = "/pair"): Promise<{ visitor: WebSocket; origin: WebSocket }> {
  const before = served.length;
  const visitor = await open(path);
  await poll(() => served.length > before, "the origin's end");
  const { ws: origin } = served.at(-1) ?? {};
  if (origin === undefined) throw new Error("no origin");
  return { visitor, origin };
}

async function closeOf(ws: WebSocket): Promise<[code: number, reason: string]> {
  const [code, reason] = (await within(once(ws, "close"), "a close")) as [number, Buffer];
  return [code, reason.toString()];
}

describe("the handshake", () => {
  test("carries path, query, fields and subprotocol, and the origin's choice comes back", async () => {
    const visitor = await open("/echo?a=b", ["other", "chat"]);
    expect(visitor.protocol).toBe("chat");
    const { url, headers } = served.at(-1)?.request ?? { headers: {} };
    expect(url).toBe("/echo?a=b");
    expect(headers).toMatchObject({
      cookie: "a=b",
      "sec-websocket-protocol": "other,chat",
      "x-forwarded-prefix": `/send/${SERVICE}`,
    });
    expect(headers["sec-websocket-extensions"]).toBeUndefined();
    // ws offers permessage-deflate, which would cost the object more than the tunnel itself does.
    expect(visitor.extensions).toBe("");
    visitor.close();
  });

  test("works by host name", async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${edge.port}/echo`, {
      headers: { host: `${SERVICE}.localhost:${edge.port}` },
    });
    await within(once(ws, "open"), "the visitor's socket");
    ws.send("by name");
    const [data] = (await within(once(ws, "message"), "the echo")) as [Buffer];
    expect(data.toString()).toBe("by name");
    ws.close();
  });

  test("that the origin refuses is refused with its status, fields and body", async () => {
    const ws = new WebSocket(prefixed("/refuse"));
    ws.on("error", () => {});
    const [, response] = (await within(once(ws, "unexpected-response"), "the refusal")) as [
      unknown,
      IncomingMessage,
    ];
    expect([response.statusCode, response.headers["x-why"]]).toEqual([403, "because"]);
    let body = "";
    for await (const chunk of response) body += String(chunk);
    expect(body).toBe("not you");
  });

  test("for another protocol than WebSocket is an ordinary request", async () => {
    const socket = connect(edge.port, "127.0.0.1");
    socket.write(
      `GET /send/${SERVICE}/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
    );
    const [data] = (await within(once(socket, "data"), "the answer")) as [Buffer];
    expect(data.toString()).toMatch(/^HTTP\/1\.1 200 /);
    socket.destroy();
  });
});

describe("messages", () => {
  test("of any size cross both ways, text as text and bytes as bytes", async () => {
    const visitor = await open("/echo");
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000, 8 * MiB]) {
      const bytes = randomBytes(size);
      visitor.send(bytes);
      const [data, binary] = (await within(once(visitor, "message"), `${size} bytes`)) as [
        Buffer,
        boolean,
      ];
      expect([binary, data.equals(bytes)]).toEqual([true, true]);
    }
    for (const text of ["", "a", "grüße 🚰", "x".repeat(200_000)]) {
      visitor.send(text);
      const [data, binary] = (await within(once(visitor, "message"), "text")) as [Buffer, boolean];
      expect([binary, data.toString()]).toEqual([false, text]);
    }
    visitor.close();
  });

  test("keep their order and their borders, many at once both ways", async () => {
    const { visitor, origin } = await pair();
    const got: [string[], string[]] = [[], []];
    visitor.on("message", (data: Buffer) => got[0].push(data.toString()));
    origin.on("message", (data: Buffer) => got[1].push(data.toString()));
    const sent = Array.from({ length: 2000 }, (_, i) => `${i}`.repeat((i % 50) + 1));
    for (const text of sent) {
      visitor.send(text);
      origin.send(text);
    }
    await poll(() => got[0].length === 2000 && got[1].length === 2000, "all messages");
    expect(got).toEqual([sent, sent]);
    visitor.close();
  });

  test("that come in fragments arrive whole", async () => {
    const { visitor, origin } = await pair();
    origin.send("a", { fin: false });
    origin.ping("between");
    origin.send("b", { fin: false });
    origin.send("c");
    const [data] = (await within(once(visitor, "message"), "the message")) as [Buffer];
    expect(data.toString()).toBe("abc");
    visitor.close();
  });

  test("the origin's pings are answered", async () => {
    const { visitor, origin } = await pair();
    origin.ping("are you there");
    const [data] = (await within(once(origin, "pong"), "the pong")) as [Buffer];
    expect(data.toString()).toBe("are you there");
    visitor.close();
  });
});

describe("the end", () => {
  test.each([
    [1000, "done"],
    [1001, ""],
    [3000, "mine"],
    [4999, "grüße"],
  ])("that the visitor gives, %i %s, reaches the origin", async (code, reason) => {
    const { visitor, origin } = await pair();
    visitor.close(code, reason);
    expect(await closeOf(origin)).toEqual([code, reason]);
  });

  test.each([0, 150])(
    "that the visitor gives reaches the origin after messages too, however long it was open, and though the upgrade took %i ms",
    async (ms) => {
      for (const openMs of [0, 150]) {
        const { visitor, origin } = await pair(`/late/${ms}`);
        visitor.send("hello");
        const [hello] = (await within(once(origin, "message"), "the message")) as [Buffer];
        origin.send(hello);
        await within(once(visitor, "message"), "the answer");
        // From a tenth of a second on the edge looks after visitors that leave without a word.
        await new Promise((resolve) => setTimeout(resolve, openMs));
        visitor.close(4321, "enough");
        expect(await closeOf(origin)).toEqual([4321, "enough"]);
      }
    },
  );

  test.each([
    [1000, "done"],
    [1001, "away"],
    [1011, "broken"],
    [4000, "mine"],
  ])("that the origin gives, %i %s, reaches the visitor", async (code, reason) => {
    const { visitor, origin } = await pair();
    origin.close(code, reason);
    expect(await closeOf(visitor)).toEqual([code, reason]);
  });

  test("without a code has none on the other side", async () => {
    const one = await pair();
    one.visitor.close();
    expect((await closeOf(one.origin))[0]).toBe(1005);
    const other = await pair();
    other.origin.close();
    expect((await closeOf(other.visitor))[0]).toBe(1005);
  });

  test("of a visitor that vanishes breaks the origin's connection, and frees the stream", async () => {
    const { visitor, origin } = await pair();
    visitor.terminate();
    expect((await closeOf(origin))[0]).toBe(1006);
  });

  test("of an origin that vanishes is no clean end for the visitor", async () => {
    const { visitor, origin } = await pair();
    origin.terminate();
    const [code] = await closeOf(visitor);
    expect([1006, 1014]).toContain(code);
  });

  test("of an origin that speaks no WebSocket is no clean end for the visitor", async () => {
    const ws = new WebSocket(prefixed("/garbage"));
    ws.on("error", () => {});
    expect([1006, 1014]).toContain((await closeOf(ws))[0]);
  });

  test("leaves nothing behind", async () => {
    const token = await edge.token({ service: SERVICE });
    const streams = async (): Promise<number> => {
      const response = await fetch(`${edge.url}/status/${SERVICE}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const { agents } = (await response.json()) as { agents: { streams: number }[] };
      return agents.reduce((sum, each) => sum + each.streams, 0);
    };
    for (const { ws } of served) ws.terminate();
    const until = performance.now() + 10_000;
    while ((await streams()) > 0 && performance.now() < until);
    expect(await streams()).toBe(0);
  });
});

test("hundreds of sockets live on one tunnel, beside --concurrency, and requests still pass", async () => {
  const visitors = await Promise.all(Array.from({ length: 300 }, () => open("/echo")));
  await Promise.all(
    visitors.map(async (visitor, i) => {
      visitor.send(`${i}`);
      const [data] = (await within(once(visitor, "message"), `echo ${i}`)) as [Buffer];
      expect(data.toString()).toBe(`${i}`);
    }),
  );
  expect(await (await fetch(`${edge.url}/send/${SERVICE}/`)).text()).toBe("plain");
  for (const visitor of visitors) visitor.terminate();
});

test("a visitor that floods an origin which does not read is sent away, and memory stays bounded", async () => {
  const { visitor, origin } = await pair();
  origin.pause();
  const pids = [edge.workerdPid, agent.pid];
  const before = pids.map(residentMiB);
  const message = randomBytes(256 * 1024);
  const closed = closeOf(visitor);
  const state = { over: false };
  void closed.then(() => (state.over = true));
  let peak = [0, 0];
  for (let sent = 0; sent < 1024 * MiB && !state.over; sent += message.length) {
    await new Promise<void>((resolve) => visitor.send(message, () => resolve()));
    // It also reads; a socket that takes everything at once would leave no time for that.
    await new Promise<void>((resolve) => setImmediate(resolve));
    const now = pids.map(residentMiB);
    peak = peak.map((most, i) => Math.max(most, (now[i] ?? 0) - (before[i] ?? 0)));
  }
  expect((await closed)[0]).toBe(1013);
  origin.resume();
  origin.terminate();
  process.stdout.write(
    `a flood of WebSocket messages: edge +${peak[0]} MiB, agent +${peak[1]} MiB\n`,
  );
  expect(peak[0]).toBeLessThan(24);
  expect(peak[1]).toBeLessThan(24);
}, 60_000);

test.each(["bytes", "text"] as const)(
  "a visitor that goes on with %s though it is sent away is hung up on, and memory stays bounded",
  async (kind) => {
    const before = served.length;
    const visitor = new WebSocketFlood(edge.port, `/send/${SERVICE}/pair`);
    await poll(() => served.length > before, "the origin's end");
    const origin = served.at(-1)?.ws;
    origin?.pause();
    const memory = [edge.workerdPid, agent.pid].map((pid) => new PeakMemory(pid));
    onTestFinished(() => memory.forEach((each) => each.stop()));
    const sent = await visitor.send(kind, 1024 * MiB);
    const [edgeGrown, agentGrown] = memory.map((each) => each.stop());
    process.stdout.write(
      `a flood that does not end: ${sent} MiB, edge +${edgeGrown} MiB, agent +${agentGrown} MiB\n`,
    );
    await within(visitor.hungUp(), "the end of it");
    expect(edgeGrown).toBeLessThan(24);
    expect(agentGrown).toBeLessThan(24);
    origin?.resume();
    origin?.terminate();
    expect(await (await fetch(`${edge.url}/send/${SERVICE}/`)).text()).toBe("plain");
  },
  60_000,
);

test("of visitors who together leave too much unread, those with most are sent away, and the others stay", async () => {
  const memory = new PeakMemory(edge.workerdPid);
  onTestFinished(() => void memory.stop());
  const crowd: { visitor: WebSocket; origin: WebSocket }[] = [];
  let away = 0;
  for (let i = 0; i < 16; i++) {
    const each = await pair();
    each.origin.pause();
    each.visitor.on("close", (code) => (away += code === 1013 ? 1 : 0));
    crowd.push(each);
  }
  const small = await pair("/echo");
  const message = randomBytes(MiB / 4);
  // In turns, so that none has much more than the others; sockets and the agent take the first megabytes of each.
  await poll(() => {
    for (const { visitor } of crowd) {
      if (visitor.readyState === WebSocket.OPEN && visitor.bufferedAmount === 0) {
        visitor.send(message);
      }
    }
    return away >= 4;
  }, "the first who have to go");
  small.visitor.send("still here");
  expect(String((await within(once(small.visitor, "message"), "an echo"))[0])).toBe("still here");
  expect(memory.growth).toBeLessThan(64);
  for (const { visitor, origin } of [...crowd, small]) {
    visitor.terminate();
    origin.terminate();
  }
}, 60_000);

test("an origin that floods a visitor which does not read is held back, and all of it arrives once it is read", async () => {
  const { visitor, origin } = await pair();
  visitor.pause();
  const pids = [edge.workerdPid, agent.pid];
  const before = pids.map(residentMiB);
  const message = randomBytes(256 * 1024);
  const messages = (128 * MiB) / message.length;
  for (let i = 0; i < messages; i++) origin.send(message);
  let unsent = origin.bufferedAmount;
  let unchanged = 0;
  await poll(() => {
    unchanged = unsent === origin.bufferedAmount ? unchanged + 1 : 0;
    unsent = origin.bufferedAmount;
    return unchanged === 100;
  }, "an origin that is held back");
  const grown = pids.map((pid, i) => residentMiB(pid) - (before[i] ?? 0));
  process.stdout.write(
    `a flood of the origin's WebSocket messages: edge +${grown[0]} MiB, agent +${grown[1]} MiB\n`,
  );
  expect(unsent).toBeGreaterThan(64 * MiB);
  // Beside what is held, some ten MiB have passed into the visitor's socket, and V8 has not collected them.
  expect(grown[0]).toBeLessThan(48);
  expect(grown[1]).toBeLessThan(48);
  let whole = 0;
  visitor.on("message", (data: Buffer) => {
    if (data.equals(message)) whole++;
  });
  visitor.resume();
  await poll(() => whole === messages, "all messages", 30_000);
  visitor.terminate();
}, 60_000);
