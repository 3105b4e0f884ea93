/** socket.io: long polling, WebSocket, and the upgrade from the one to the other. */
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { describe, expect } from "vitest";
import { agrees, listen, useWays } from "./ways.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const ways = useWays(async () => {
  const http = createServer();
  const server = new Server(http, { maxHttpBufferSize: 2e6 });
  server.on("connection", (socket) => {
    socket.on("hash", (bytes: Buffer, answer: (hash: string) => void) => answer(sha256(bytes)));
    socket.on("count", (to: number) => {
      for (let count = 1; count <= to; count++) socket.emit("counted", count, { "🫖": count });
    });
    socket.on("leave", () => socket.disconnect(true));
  });
  const served = await listen(http);
  return {
    ...served,
    async stop() {
      await server.close();
    },
  };
});

const file = randomBytes(1_000_000);

describe.each([
  ["long polling", ["polling"], "polling"],
  ["WebSocket", ["websocket"], "websocket"],
  ["polling, then upgraded", ["polling", "websocket"], "websocket"],
] as const)("%s", (_name, transports, last) => {
  agrees(
    "acknowledgements, binary events and a burst arrive whole and in order, and the server's goodbye too",
    ways,
    async (base) => {
      const { origin, pathname } = new URL(base);
      const socket = io(origin, {
        path: `${pathname.replace(/\/$/, "")}/socket.io`,
        transports: [...transports],
        forceNew: true,
        reconnection: false,
      });
      try {
        await new Promise<void>((resolve, reject) => {
          socket.on("connect_error", reject);
          if (transports.length > 1) socket.io.engine.once("upgrade", () => resolve());
          else socket.on("connect", resolve);
        });
        const hash: unknown = await socket.timeout(10_000).emitWithAck("hash", file);
        const counted: unknown[] = [];
        const all = new Promise<void>((resolve) => {
          socket.on("counted", (count: number, value: unknown) => {
            counted.push([count, value]);
            if (count === 200) resolve();
          });
        });
        socket.emit("count", 200);
        await all;
        const transport = socket.io.engine.transport.name;
        const left = new Promise<string>((resolve) => socket.on("disconnect", resolve));
        socket.emit("leave");
        return { hash, counted, transport, left: await left };
      } finally {
        socket.close();
      }
    },
    (seen) => {
      const counted = Array.from({ length: 200 }, (_, at) => [at + 1, { "🫖": at + 1 }]);
      const left = "io server disconnect";
      expect(seen).toEqual({ hash: sha256(file), counted, transport: last, left });
    },
  );
});
