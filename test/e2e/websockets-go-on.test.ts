/** A visitor's WebSocket outlives the agent's socket: messages go on in order, and a bulk transfer beside them too. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { FaultRelay } from "../support/fault-relay.ts";
import { Edge } from "../support/tunnel.ts";
import { poll, within } from "../support/until.ts";

const SERVICE = "shop";
const DOWNLOAD_BYTES = 64 * 1024 * 1024;

test("messages both ways survive ten cuts of the agent's socket, beside a download", async () => {
  const http = createServer((_request, response) => response.end(Buffer.alloc(DOWNLOAD_BYTES, 7)));
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
    const visitor = new WebSocket(`ws://127.0.0.1:${edge.port}/send/${SERVICE}/`);
    await within(once(visitor, "open"), "the visitor's socket");
    const echoed: string[] = [];
    visitor.on("message", (data: Buffer) => echoed.push(data.toString()));
    const download = fetch(`${edge.url}/send/${SERVICE}/`).then((response) => response.bytes());
    const sent: string[] = [];
    for (let cut = 0; cut < 10; cut++) {
      for (let i = 0; i < 50; i++) {
        const text = `${sent.length} `.repeat((i % 7) * 100 + 1);
        sent.push(text);
        visitor.send(text);
      }
      const from = agent.events.length;
      await relay.nextTunnel();
      relay.cut(cut % 2 === 0 ? "rst" : "fin");
      await agent.event("resumed", undefined, from);
    }
    await poll(() => echoed.length === sent.length, "every echo");
    expect(echoed).toEqual(sent);
    expect((await download).every((byte) => byte === 7)).toBe(true);
    visitor.close(1000, "done");
    await within(once(visitor, "close"), "the end");
  } finally {
    await edge.stop();
    await relay.stop();
    http.closeAllConnections();
    http.close();
  }
}, 60_000);
