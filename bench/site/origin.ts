/**
 * The origin being tunnelled, a process of its own: small answers, bodies of any size both ways, event streams,
 * WebSockets that echo.
 *
 * It checks what it receives; what it sends, the load generator checks. It prints its port and runs until it is killed.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { Checker } from "./checker.ts";
import { slice, smallBody } from "./pattern.ts";

/** What is written at once: as much as a large read of a file gives. */
const WRITE_BYTES = 256 * 1024;

const server = createServer((request, response) => {
  const [, what = "", which = "", more = ""] = (request.url ?? "").split("/");
  switch (what) {
    case "small":
      return small(which, response);
    case "bytes":
      return void sendBytes(Number(which), response);
    case "upload":
      return receive(request, response);
    case "events":
      return sendEvents(Number(which), Number(more), response);
    default:
      response.writeHead(404).end();
  }
});

function small(id: string, response: ServerResponse): void {
  const body = smallBody(id);
  response.writeHead(200, { "content-type": "text/plain", "content-length": body.length });
  response.end(body);
}

async function sendBytes(bytes: number, response: ServerResponse): Promise<void> {
  response.writeHead(200, {
    "content-type": "application/octet-stream",
    "content-length": bytes,
  });
  for (let sent = 0; sent < bytes && !response.destroyed;) {
    const piece = slice(sent, Math.min(WRITE_BYTES, bytes - sent));
    sent += piece.length;
    if (!response.write(piece)) await drained(response);
  }
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go);
      response.off("close", go);
      resolve();
    };
    response.on("drain", go);
    response.on("close", go);
  });
}

/** Answers with how much arrived, or with what was wrong with it. */
function receive(request: IncomingMessage, response: ServerResponse): void {
  const checker = new Checker();
  let fault = "";
  request.on("data", (piece: Buffer) => {
    if (fault !== "") return;
    try {
      checker.push(piece);
    } catch (error) {
      fault = String(error);
    }
  });
  request.on("end", () => response.end(fault === "" ? `received ${checker.bytes}` : fault));
  request.on("error", () => response.destroy());
}

/** `count` events, one every `everyMs`, each with the time it was sent: the machine's monotonic clock, in ns. */
function sendEvents(everyMs: number, count: number, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.flushHeaders();
  let left = count;
  const timer = setInterval(() => {
    response.write(`data: ${process.hrtime.bigint()}\n\n`);
    if (--left > 0) return;
    clearInterval(timer);
    response.end();
  }, everyMs);
  response.on("close", () => clearInterval(timer));
}

new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (ws) => {
  ws.on("message", (data, binary) => ws.send(data, { binary }));
});

server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => {
  console.log(`listening on ${(server.address() as AddressInfo).port}`);
});
