/**
 * The server at the far end: answers as each test tells it to and keeps what it received, unaltered.
 *
 * It lives in the test's own process, so that a test can act between two bytes of a request or an answer.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  createServer as createTcpServer,
  type AddressInfo,
  type Server as TcpServer,
  type Socket,
} from "node:net";
import type { Field, Framing, Place } from "./raw-http.ts";
import { SOON_MS, Watch } from "./until.ts";

/** One request as the origin sees it. */
export class Received {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly target: string;
  /** As they came: order, case and repetition kept; latin-1. */
  readonly fields: readonly Field[];
  /** How the end of the request's body is told. */
  readonly framing: Framing;
  readonly #watch = new Watch();
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #reading = false;
  #goneAt: number | undefined;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.response = response;
    this.method = request.method ?? "";
    this.target = request.url ?? "";
    const raw = request.rawHeaders;
    this.fields = Array.from({ length: raw.length / 2 }, (_, i): Field => [
      raw[2 * i] ?? "",
      raw[2 * i + 1] ?? "",
    ]);
    const { "content-length": length, "transfer-encoding": coding } = request.headers;
    this.framing = coding !== undefined ? "chunked" : length !== undefined ? "length" : "none";
    // Without listeners a cut request or answer would be an uncaught error of the test's process.
    request.on("error", () => {});
    response.on("error", () => {});
    response.on("close", () => {
      if (!response.writableFinished || !request.complete) this.#goneAt = performance.now();
      this.#watch.changed();
    });
    request.on("end", () => this.#watch.changed());
  }

  /** The body so far, as soon as it has `count` bytes; reading begins with the first call. */
  async bytes(count: number, ms = SOON_MS): Promise<Buffer> {
    this.#read();
    return this.#watch.until(
      () => this.#bytes >= count && Buffer.concat(this.#parts),
      `${count} bytes of ${this.method} ${this.target} at the origin`,
      ms,
    );
  }

  /** The whole body, when its sender has ended it well. */
  async body(ms = SOON_MS): Promise<Buffer> {
    this.#read();
    return this.#watch.until(
      () => {
        if (this.#goneAt !== undefined && !this.request.complete)
          throw new Error("the request was cut");
        return this.request.complete && this.request.readableEnded && Buffer.concat(this.#parts);
      },
      `the whole body of ${this.method} ${this.target} at the origin`,
      ms,
    );
  }

  /** When the requester went away before the exchange was complete (`performance.now()`). */
  async gone(ms = SOON_MS): Promise<number> {
    return this.#watch.until(() => this.#goneAt, `${this.target}'s requester going away`, ms);
  }

  /** Whether the requester went away before the exchange was complete. */
  get cut(): boolean {
    return this.#goneAt !== undefined;
  }

  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.request.on("data", (bytes: Buffer) => {
      this.#parts.push(bytes);
      this.#bytes += bytes.length;
      this.#watch.changed();
    });
  }
}

/** What it returns is awaited and otherwise ignored. */
export type Handler = (received: Received) => unknown;

/** Reads the body and answers with a line of text. */
export async function answerPlainly(received: Received): Promise<void> {
  await received.body();
  received.response.end(`${received.method} ${received.target}\n`);
}

export class Origin {
  readonly port: number;
  /** Everything received, in order of arrival. */
  readonly log: Received[] = [];
  readonly #server: Server;
  readonly #handlers = new Map<string, Handler>();
  readonly #watch = new Watch();
  #fallback: Handler = answerPlainly;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("request", (request: IncomingMessage, response: ServerResponse) =>
      this.#onRequest(request, response),
    );
  }

  static async start(): Promise<Origin> {
    const server = createServer({
      keepAliveTimeout: 60_000,
      requestTimeout: 0,
      maxHeaderSize: 128 * 1024,
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 1024, resolve));
    return new Origin(server);
  }

  /** Where to ask it directly. */
  get place(): Place {
    return { port: this.port, host: `localhost:${this.port}`, prefix: "" };
  }

  /** From now on `handler` answers what is asked of `path` (with whatever query). */
  on(path: string, handler: Handler): void {
    this.#handlers.set(path, handler);
  }

  /** From now on `handler` answers what no path was set for. */
  otherwise(handler: Handler): void {
    this.#fallback = handler;
  }

  /** The first request that arrives after this call (and matches). */
  async next(
    matches: (received: Received) => boolean = () => true,
    ms = SOON_MS,
  ): Promise<Received> {
    const from = this.log.length;
    return this.#watch.until(
      () => this.log.slice(from).find((received) => matches(received)),
      "a request at the origin",
      ms,
    );
  }

  /** Resolves when so many requests have arrived since the start. */
  async arrived(count: number, ms = SOON_MS): Promise<void> {
    await this.#watch.until(() => this.log.length >= count, `${count} requests at the origin`, ms);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const received = new Received(request, response);
    this.log.push(received);
    const path = received.target.split("?", 1)[0] ?? "";
    const handler = this.#handlers.get(path) ?? this.#fallback;
    Promise.resolve(handler(received)).catch((error: unknown) => {
      // A requester that leaves early is part of many tests; anything else shows in the visitor's answer.
      if (!response.headersSent && !response.destroyed) response.writeHead(599).end(String(error));
    });
    this.#watch.changed();
  }
}

/** An origin that speaks whatever bytes a test wants, HTTP or not. */
export class RawOrigin {
  readonly port: number;
  readonly #server: TcpServer;
  readonly #sockets = new Set<Socket>();

  private constructor(server: TcpServer, onSocket: (socket: Socket) => void) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
      onSocket(socket);
    });
  }

  static async start(onSocket: (socket: Socket) => void): Promise<RawOrigin> {
    const server = createTcpServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new RawOrigin(server, onSocket);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
