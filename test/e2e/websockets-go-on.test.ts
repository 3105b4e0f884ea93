/** Visitors' WebSockets outlive the agent's socket: messages go on in order, and bulk transfers beside them too. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { FaultRelay } from "../support/fault-relay.ts";
import type { Program } from "../support/program.ts";
import { Edge } from "../support/tunnel.ts";
import { poll, within } from "../support/until.ts";

const SERVICE = "shop";
const PIECE_BYTES = 64 * 1024;

interface Site {
  readonly edge: Edge;
  readonly relay: FaultRelay;
  readonly agent: Program;
  /** Resolves when the origin was asked for so many bodies, and has begun with them. */
  readonly asked: (bodies: number) => Promise<unknown>;
}

/** Pieces of an endless body, some 60 MB/s of them, until `ended.aborted`; each says by its bytes which one it is. */
async function* pieces(ended: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let i = 0; !ended.aborted; i++) {
    yield new Uint8Array(PIECE_BYTES).fill(i);
    await setTimeout(1);
  }
}

/** Reads such a body. @returns how many pieces it has, whole ones and in order */
async function piecesOf(body: AsyncIterable<Uint8Array>): Promise<number> {
  let at = 0;
  for await (const chunk of body) {
    for (const byte of chunk) {
      if (byte !== (Math.floor(at / PIECE_BYTES) & 0xff)) throw new Error(`wrong at ${at}`);
      at++;
    }
  }
  return at / PIECE_BYTES;
}

/**
 * An origin that echoes WebSocket messages, answers GET with a body that ends with `ended`, and counts the pieces of any other
 * request; and an agent whose socket can be cut.
 */
async function withSite(ended: AbortSignal, use: (site: Site) => Promise<void>): Promise<void> {
  let bodies = 0;
  const http = createServer((request, response) => {
    bodies++;
    if (request.method === "GET") void pipeline(pieces(ended), response).catch(() => {});
    else {
      piecesOf(request).then(
        (count) => response.end(String(count)),
        () => response.destroy(),
      );
    }
  });
  const sockets = new WebSocketServer({ server: http });
  sockets.on("connection", (ws) => {
    ws.on("message", (data, binary) => ws.send(data, { binary }));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const edge = await Edge.start();
  const relay = await FaultRelay.start(edge.port);
  try {
    const port = (http.address() as AddressInfo).port;
    const agent = await edge.agent({ service: SERVICE, port, url: relay.url });
    const asked = (count: number): Promise<unknown> => poll(() => bodies === count, "the requests");
    await use({ edge, relay, agent, asked });
  } finally {
    await edge.stop();
    await relay.stop();
    http.closeAllConnections();
    http.close();
  }
}

/** A visitor's socket, all that was sent on it and all that came back. */
class Visitor {
  readonly ws: WebSocket;
  readonly sent: string[] = [];
  readonly echoed: string[] = [];

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on("message", (data: Buffer) => void this.echoed.push(data.toString()));
  }

  static async open(edge: Edge): Promise<Visitor> {
    const ws = new WebSocket(`ws://127.0.0.1:${edge.port}/send/${SERVICE}/`);
    await within(once(ws, "open"), "the visitor's socket");
    return new Visitor(ws);
  }

  send(text: string): void {
    this.sent.push(text);
    this.ws.send(text);
  }
}

async function download({ url }: Edge): Promise<number> {
  const { body } = await fetch(`${url}/send/${SERVICE}/`);
  if (body === null) throw new Error("no body");
  return piecesOf(body);
}

async function upload({ url }: Edge, ended: AbortSignal): Promise<[sent: number, counted: number]> {
  let sent = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for await (const piece of pieces(ended)) {
      sent++;
      yield piece;
    }
  };
  const init = { method: "POST", body: ReadableStream.from(counted()), duplex: "half" } as const;
  const response = await fetch(`${url}/send/${SERVICE}/`, init);
  return [sent, Number(await response.text())];
}

/** Cuts the agent's socket and waits until it is back. @returns how many streams went on */
async function cut({ relay, agent }: Site, how: "rst" | "fin"): Promise<number> {
  const from = agent.events.length;
  await relay.nextTunnel();
  relay.cut(how);
  return Number((await agent.event("resumed", undefined, from))["streams"]);
}

test("messages both ways survive ten cuts of the agent's socket, beside a download", async () => {
  const ending = new AbortController();
  await withSite(ending.signal, async (site) => {
    const visitor = await Visitor.open(site.edge);
    const body = download(site.edge);
    await site.asked(1);
    for (let cuts = 0; cuts < 10; cuts++) {
      for (let i = 0; i < 50; i++) {
        visitor.send(`${visitor.sent.length} `.repeat((i % 7) * 100 + 1));
      }
      expect(await cut(site, cuts % 2 === 0 ? "rst" : "fin")).toBe(2);
    }
    await poll(() => visitor.echoed.length === visitor.sent.length, "every echo");
    expect(visitor.echoed).toEqual(visitor.sent);
    ending.abort();
    expect(await body).toBeGreaterThan(10);
    visitor.ws.close(1000, "done");
    await within(once(visitor.ws, "close"), "the end");
  });
}, 60_000);

test("so do those of 300 sockets, beside a download and an upload", async () => {
  const ending = new AbortController();
  await withSite(ending.signal, async (site) => {
    const { edge } = site;
    const visitors = await Promise.all(Array.from({ length: 300 }, () => Visitor.open(edge)));
    const down = download(edge);
    const up = upload(edge, ending.signal);
    await site.asked(2);
    for (const how of ["rst", "fin", "rst"] as const) {
      for (const [i, visitor] of visitors.entries()) {
        for (let j = 0; j < 3; j++) visitor.send(`${i} ${visitor.sent.length}`);
      }
      expect(await cut(site, how)).toBe(302);
    }
    for (const { sent, echoed } of visitors) {
      await poll(() => echoed.length === sent.length, "every echo");
      expect(echoed).toEqual(sent);
    }
    ending.abort();
    expect(await down).toBeGreaterThan(10);
    const [sent, counted] = await up;
    expect(sent).toBeGreaterThan(10);
    expect(counted).toBe(sent);
    const closed = visitors.map(({ ws }) => within(once(ws, "close"), "the end"));
    for (const { ws } of visitors) ws.close(1000, "done");
    expect((await Promise.all(closed)).map(([code]) => code as number)).toEqual(
      visitors.map(() => 1000),
    );
  });
}, 60_000);
