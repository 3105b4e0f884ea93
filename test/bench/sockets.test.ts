/** What the load generator says of visitors who stay is what they met. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import type { Job } from "../../bench/load/job.ts";
import { runSockets } from "../../bench/load/sockets.ts";

const cleanups: (() => unknown)[] = [];

afterEach(() => {
  for (const clean of cleanups.splice(0).toReversed()) clean();
});

const SOCKETS = 10;
const STREAMS = 4;
const EVENT_EVERY_MS = 40;

/** A site whose sockets answer as `answer` does, and whose events were stamped `lateMs` before they are sent. */
async function site(
  answer: (ws: WebSocket, text: string) => void,
  lateMs = 0,
): Promise<Job & { kind: "sockets" }> {
  const server = createServer((request, response) => {
    const [, , everyMs, count] = (request.url ?? "").split("/").map(Number);
    response.writeHead(200, { "content-type": "text/event-stream" });
    let left = count ?? 0;
    const timer = setInterval(() => {
      response.write(`data: ${process.hrtime.bigint() - BigInt(lateMs * 1e6)}\n\n`);
      if (--left > 0) return;
      clearInterval(timer);
      response.end();
    }, everyMs);
    cleanups.push(() => clearInterval(timer));
  });
  new WebSocketServer({ server }).on("connection", (ws) => {
    ws.on("message", (data: Buffer) => answer(ws, data.toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(
    () => server.close(),
    () => server.closeAllConnections(),
  );
  return {
    kind: "sockets",
    target: { port: (server.address() as AddressInfo).port, prefix: "" },
    sockets: SOCKETS,
    everyMs: 50,
    streams: STREAMS,
    eventEveryMs: EVENT_EVERY_MS,
    warmMs: 50,
    ms: 300,
  };
}

test("how long echoes and events were on their way, apart from each other", async () => {
  const job = await site((ws, text) => setTimeout(() => ws.send(text), 30), 70);
  const { p50Ms = 0, p99Ms = 0, eventP50Ms = 0, eventP99Ms = 0 } = await runSockets(job);
  expect(p50Ms).toBeGreaterThan(29);
  expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  expect(eventP50Ms).toBeGreaterThan(69);
  expect(eventP99Ms).toBeGreaterThanOrEqual(eventP50Ms);
});

test("every socket sends as often as it should, and no more than the others", async () => {
  const counts = new Map<WebSocket, number>();
  const job = await site((ws, text) => {
    counts.set(ws, (counts.get(ws) ?? 0) + 1);
    ws.send(text);
  });
  await runSockets(job);
  expect([...counts.values()]).toEqual(Array.from({ length: SOCKETS }, () => 7));
});

test("an echo of something else is no measurement", async () => {
  const job = await site((ws, text) => ws.send(`${text}!`));
  await expect(runSockets(job)).rejects.toThrow("an echo is");
});

test("nor is one when a socket was closed", async () => {
  const job = await site((ws) => ws.close());
  await expect(runSockets(job)).rejects.toThrow("a WebSocket was closed");
});
