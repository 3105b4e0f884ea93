/**
 * A company's proxy as small as can be: CONNECT, to 127.0.0.1 whatever the name, with what a test wants of it.
 */
import { once } from "node:events";
import { createServer as createSecureServer } from "node:https";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { Certificate } from "./certificate.ts";
import { Watch } from "./until.ts";

export interface ConnectProxyOptions {
  /** `user:password`; everybody is let through when undefined. */
  readonly credentials?: string;
  /** What it asks for credentials with. */
  readonly challenge?: string;
  /** Is itself spoken to over TLS, with this certificate. */
  readonly secure?: Certificate;
  /** Breaks TLS open with this certificate, and speaks in the clear to what is behind. */
  readonly intercept?: Certificate;
  /** Answers every CONNECT with this instead. */
  readonly refusal?: string;
  /** Takes the connection and never answers. */
  readonly silent?: boolean;
}

export class ConnectProxy {
  readonly port: number;
  /** The targets that were asked for, in order, refused ones included. */
  readonly asked: string[] = [];
  /** While set, every CONNECT gets this. */
  refusal: string | undefined;
  readonly #server: Server;
  readonly #options: ConnectProxyOptions;
  readonly #sockets = new Set<Socket>();
  readonly #watch = new Watch();

  private constructor(server: Server, options: ConnectProxyOptions) {
    this.#server = server;
    this.#options = options;
    this.refusal = options.refusal;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => this.#keep(socket));
    server.on("connect", (request: IncomingMessage, socket: Socket, head) => {
      if (head.length > 0) socket.unshift(head);
      this.#connect(request, socket);
      this.#watch.changed();
    });
  }

  static async start(options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
    const { secure } = options;
    const server = secure === undefined ? createServer() : createSecureServer(secure);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new ConnectProxy(server, options);
  }

  get url(): string {
    const scheme = this.#options.secure === undefined ? "http" : "https";
    return `${scheme}://127.0.0.1:${this.port}`;
  }

  /** Resolves when it was asked so many times. */
  async askedFor(count: number): Promise<void> {
    await this.#watch.until(() => this.asked.length >= count, `${count} CONNECTs`);
  }

  /** What a proxy does with connections that it takes for idle. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.cut();
    if (this.#server.listening) await once(this.#server, "close");
  }

  #connect(request: IncomingMessage, socket: Socket): void {
    const { credentials, challenge = 'Basic realm="corp"', intercept, silent } = this.#options;
    const target = request.url ?? "";
    this.asked.push(target);
    if (silent === true) return;
    if (this.refusal !== undefined) {
      socket.end(this.refusal);
      return;
    }
    const expected = `Basic ${Buffer.from(credentials ?? "").toString("base64")}`;
    if (credentials !== undefined && request.headers["proxy-authorization"] !== expected) {
      socket.end(
        `HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: ${challenge}\r\nContent-Length: 0\r\n\r\n`,
      );
      return;
    }
    const behind = this.#keep(connect(Number(target.split(":").at(-1)), "127.0.0.1"));
    behind.once("connect", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      const clear =
        intercept === undefined
          ? socket
          : new TLSSocket(socket, {
              isServer: true,
              secureContext: createSecureContext(intercept),
            });
      clear.on("error", () => behind.destroy());
      clear.on("close", () => behind.destroy());
      behind.on("close", () => clear.destroy());
      clear.pipe(behind).pipe(clear);
    });
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}
