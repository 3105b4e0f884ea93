/**
 * The server that `npm start` puts behind the tunnel: one small page, one huge download, one event stream, one echo.
 *
 * It shows what streams; it is no part of the tunnel.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";

const GIB = 1024 ** 3;
const PIECE = Buffer.alloc(64 * 1024, "The quick brown fox jumps over the lazy dog. ");
const TICK_MS = 1000;

export interface DemoOrigin {
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts it on a free port of this machine. */
export async function startDemoOrigin(): Promise<DemoOrigin> {
  const server = createServer((request, response) => {
    route(request, response).catch((error: unknown) => {
      // A visitor that leaves early ends a stream early: nothing to say to nobody.
      response.destroy(error instanceof Error ? error : undefined);
    });
  });
  server.requestTimeout = 0;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://origin");
  switch (url.pathname) {
    case "/":
      return page(request, response, url);
    case "/download":
      return download(request, response, url);
    case "/events":
      return events(response);
    case "/echo":
      return echo(request, response);
    default:
      response.writeHead(404, { "content-type": "text/plain" });
      response.end("The demo has /, /download, /events and /echo.\n");
  }
}

/** Small and JSON; says back the id that it was asked with, so that no answer can be mistaken for another's. */
async function page(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
  request.resume();
  const id = url.searchParams.get("id") ?? request.headers["x-request-id"] ?? null;
  const body = JSON.stringify({
    hello: "from behind the tunnel",
    id,
    method: request.method,
    path: request.url,
    host: request.headers.host,
    via: request.headers["x-forwarded-host"] ?? null,
  });
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body) + 1,
  });
  response.end(`${body}\n`);
}

/** `?bytes=N` bytes, 1 GiB without; written only as fast as they are read. */
async function download(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const asked = url.searchParams.get("bytes") ?? String(GIB);
  const bytes = Number(asked);
  if (!/^\d{1,15}$/.test(asked)) {
    response.writeHead(400, { "content-type": "text/plain" });
    response.end("bytes must be a whole number\n");
    return;
  }
  response.writeHead(200, {
    "content-type": "application/octet-stream",
    "content-length": bytes,
  });
  if (request.method === "HEAD") response.end();
  else await pipeline(pieces(bytes), response);
}

function* pieces(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= PIECE.length) {
    yield left >= PIECE.length ? PIECE : PIECE.subarray(0, left);
  }
}

/** A server-sent event each second, for as long as somebody listens. */
async function events(response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  let tick = 0;
  const send = (): void => {
    response.write(`id: ${++tick}\nevent: tick\ndata: ${new Date().toISOString()}\n\n`);
  };
  send();
  const timer = setInterval(send, TICK_MS);
  response.on("close", () => clearInterval(timer));
}

/** Says everything back while it is still being said. */
async function echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(200, {
    "content-type": request.headers["content-type"] ?? "application/octet-stream",
  });
  response.flushHeaders();
  await pipeline(request, response);
}
