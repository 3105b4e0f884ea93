/**
 * A real WebSocket server that answers agents as the edge does, or as a test wants it to misbehave.
 *
 * It lives in the test's process: its sessions open exchanges on the agent that dialled.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import { PROTOCOL } from "../../codec/limits.ts";
import type { Listener } from "../../codec/listener.ts";
import type { Session } from "../../codec/session.ts";
import type { Transport } from "../../codec/transport.ts";
import { testListener, testPlatform } from "../support/joined.ts";
import { Watch } from "../support/until.ts";

/** What an upgrade is answered with instead of a WebSocket. */
export interface Refusal {
  readonly status: number;
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Which upgrades get it; all when undefined. */
  readonly path?: string;
}

/** One agent's connection as the edge sees it. */
export class Caller implements Transport {
  readonly full = false;
  readonly ws: WebSocket;
  readonly request: IncomingMessage;
  /** Set when the agent has greeted. */
  greeted: Session | undefined;
  /** Set when the WebSocket has closed. */
  closed: { readonly code: number; readonly reason: string } | undefined;

  constructor(ws: WebSocket, request: IncomingMessage, listener: Listener<Caller>, watch: Watch) {
    this.ws = ws;
    this.request = request;
    listener.accept(this, String(request.headers["sluice-agent"]));
    ws.on("message", (data: Buffer) => {
      listener.receive(this, data);
      watch.changed();
    });
    ws.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      listener.lost(this, code, reason.toString());
      watch.changed();
    });
    ws.on("error", () => {});
  }

  get session(): Session {
    if (this.greeted === undefined) throw new Error("it has not greeted yet");
    return this.greeted;
  }

  send(message: Uint8Array): void {
    if (this.ws.readyState === WebSocket.OPEN) this.ws.send(message);
  }

  close(code: number, reason: string): void {
    this.ws.close(code, reason);
  }
}

export class FakeEdge {
  readonly port: number;
  /** Every agent that connected, in order. */
  readonly callers: Caller[] = [];
  /** Every upgrade that was asked for, in order. */
  readonly upgrades: IncomingMessage[] = [];
  /** While set, upgrades get this. */
  refusal: Refusal | undefined;
  /** How many shards it says there are; undefined for an edge that knows of none. */
  shards: number | undefined;
  /** How often it was asked for that, and by whom. */
  readonly counts: IncomingMessage[] = [];
  /** The subprotocol that is chosen; false for none. */
  protocol: string | false = PROTOCOL;
  readonly #server: Server;
  readonly #watch = new Watch();
  readonly #listener: Listener<Caller>;
  readonly #sockets = new Set<Duplex>();

  private constructor(server: Server, name: string) {
    this.#server = server;
    const greeted = (session: Session): void => {
      const caller = this.callers.find((each) => each === session.transport);
      if (caller !== undefined) caller.greeted = session;
      this.#watch.changed();
    };
    this.#listener = testListener<Caller>(testPlatform(setImmediate), greeted, name);
    this.port = (server.address() as AddressInfo).port;
    const sockets = new WebSocketServer({
      noServer: true,
      handleProtocols: () => this.protocol,
    });
    server.on("request", (request, response) => {
      this.counts.push(request);
      const fields = this.shards === undefined ? {} : { "sluice-shards": String(this.shards) };
      response.writeHead(this.shards === undefined ? 404 : 204, fields).end();
      this.#watch.changed();
    });
    server.on("upgrade", (request, socket, head) => {
      this.upgrades.push(request);
      this.#sockets.add(socket);
      const { refusal } = this;
      if (refusal === undefined || (refusal.path ?? request.url) !== request.url) {
        sockets.handleUpgrade(request, socket, head, (ws) => {
          this.callers.push(new Caller(ws, request, this.#listener, this.#watch));
          this.#watch.changed();
        });
      } else refuse(socket, refusal);
      this.#watch.changed();
    });
  }

  /** Its sessions are called `<name>-1` and so on: two edges must not both know one. */
  static async start(port = 0, name = "session"): Promise<FakeEdge> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return new FakeEdge(server, name);
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.port}`);
  }

  /** The agent's connection number `index`, once it has greeted. */
  async caller(index = 0, ms?: number): Promise<Caller> {
    return this.until(
      () => {
        const caller = this.callers[index];
        return caller?.greeted?.ready === true ? caller : undefined;
      },
      `connection ${index} of an agent`,
      ms,
    );
  }

  /** Resolves when so many upgrades were asked for. */
  async asked(count: number): Promise<void> {
    await this.until(() => this.upgrades.length >= count, `${count} upgrades`);
  }

  /** Looks again whenever an agent does something. */
  async until<T>(read: () => T | undefined | false, what: string, ms?: number): Promise<T> {
    return this.#watch.until(read, what, ms);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function refuse(socket: Duplex, { status, fields = {}, body = "" }: Refusal): void {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(
    `HTTP/1.1 ${status} No\r\n${lines.join("")}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
