/**
 * An edge, an agent and an origin of WebSockets, for a file of tests: a visitor's socket and the origin's end of it.
 *
 * The origin echoes below `/echo`, refuses `/refuse`, breaks the protocol at `/garbage`, accepts after `n` ms at `/late/n`,
 * and keeps still elsewhere.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { Program } from "./program.ts";
import { Edge } from "./tunnel.ts";
import { poll, within } from "./until.ts";

const MiB = 1024 * 1024;

interface Served {
  readonly ws: WebSocket;
  readonly request: IncomingMessage;
}

export class SocketTunnel {
  readonly service = "shop";
  /** The origin's ends, in order. */
  readonly served: Served[] = [];
  #edge: Edge | undefined;
  #agent: Program | undefined;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: 64 * MiB,
    handleProtocols: (protocols) => (protocols.has("chat") ? "chat" : false),
  });
  readonly #http: Server = createServer((_request, response) => response.end("plain"));

  async start(): Promise<void> {
    this.#http.on("upgrade", (request, socket, head) => {
      const path = request.url ?? "";
      if (path.startsWith("/refuse")) {
        socket.end(
          "HTTP/1.1 403 Forbidden\r\nx-why: because\r\ncontent-length: 7\r\nconnection: close\r\n\r\nnot you",
        );
        return;
      }
      if (path.startsWith("/garbage")) {
        this.#sockets.handleUpgrade(request, socket, head, () =>
          socket.write(Buffer.alloc(10, 0xff)),
        );
        return;
      }
      const accept = (): void =>
        this.#sockets.handleUpgrade(request, socket, head, (ws) => {
          this.served.push({ ws, request });
          if (!path.startsWith("/echo")) return;
          ws.on("message", (data, binary) => ws.send(data, { binary }));
        });
      const lateMs = Number(/^\/late\/(\d+)$/.exec(path)?.[1] ?? 0);
      if (lateMs === 0) accept();
      else setTimeout(accept, lateMs);
    });
    await new Promise<void>((resolve) => this.#http.listen(0, "127.0.0.1", resolve));
    const { port } = this.#http.address() as AddressInfo;
    this.#edge = await Edge.start();
    this.#agent = await this.#edge.agent({ service: this.service, port });
  }

  async stop(): Promise<void> {
    await this.#edge?.stop();
    for (const { ws } of this.served) ws.terminate();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  get edge(): Edge {
    if (this.#edge === undefined) throw new Error("not started");
    return this.#edge;
  }

  /** The edge's and the agent's. */
  get pids(): readonly [edge: number, agent: number] {
    if (this.#agent === undefined) throw new Error("not started");
    return [this.edge.workerdPid, this.#agent.pid];
  }

  /** A path of the origin as visitors ask for it. */
  through(path: string): string {
    return `/send/${this.service}${path}`;
  }

  async open(path: string, protocols: string[] = []): Promise<WebSocket> {
    const url = `ws://127.0.0.1:${this.edge.port}${this.through(path)}`;
    const ws = new WebSocket(url, protocols, { headers: { cookie: "a=b" } });
    await within(once(ws, "open"), "the visitor's socket");
    return ws;
  }

  /** What `visit` makes, and the end of it that the origin is given. */
  async origin<T>(visit: () => Promise<T> | T): Promise<[visitor: T, origin: WebSocket]> {
    const before = this.served.length;
    const visitor = await visit();
    await poll(() => this.served.length > before, "the origin's end");
    const { ws } = this.served.at(-1) ?? {};
    if (ws === undefined) throw new Error("no origin");
    return [visitor, ws];
  }

  /** A visitor's socket and the origin's end of it. */
  async pair(path = "/pair"): Promise<{ visitor: WebSocket; origin: WebSocket }> {
    const [visitor, origin] = await this.origin(() => this.open(path));
    return { visitor, origin };
  }

  /** What the origin answers to a plain request. */
  async plain(): Promise<string> {
    return (await fetch(`${this.edge.url}${this.through("/")}`)).text();
  }
}

/** One for all tests of a file. */
export function useSocketTunnel(): SocketTunnel {
  const tunnel = new SocketTunnel();
  beforeAll(() => tunnel.start());
  afterAll(() => tunnel.stop());
  return tunnel;
}

export async function closeOf(ws: WebSocket): Promise<[code: number, reason: string]> {
  const [code, reason] = (await within(once(ws, "close"), "a close")) as [number, Buffer];
  return [code, reason.toString()];
}
