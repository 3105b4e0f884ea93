/**
 * A SOCKS proxy as small as can be: versions 4, 4A and 5, to 127.0.0.1 whatever the name, with the bad manners that a test
 * wants of it.
 */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { Watch } from "./until.ts";

/** What the proxy answers to: what methods there are, who asks, where to. SOCKS4 has the last one only. */
export type Step = "greeting" | "login" | "request";

export interface SocksProxyOptions {
  /** `user:password`; everybody is let through when undefined. */
  readonly credentials?: string;
  /** What is answered at this step instead, and what follows it. */
  readonly instead?: {
    readonly at: Step;
    readonly answer?: readonly number[] | string;
    readonly after: "silence" | "end" | "reset";
  };
  /** Sends every answer byte by byte. */
  readonly dribbles?: boolean;
}

/** What a client wanted. */
export interface Asked {
  readonly version: number;
  readonly kind: "name" | "ipv4" | "ipv6";
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
}

export class SocksProxy {
  readonly port: number;
  /** In order, refused ones included. */
  readonly asked: Asked[] = [];
  /** The steps that clients came to. */
  readonly steps: Step[] = [];
  readonly #server: Server;
  readonly #options: SocksProxyOptions;
  readonly #sockets = new Set<Socket>();
  readonly #watch = new Watch();

  private constructor(server: Server, options: SocksProxyOptions) {
    this.#server = server;
    this.#options = options;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => {
      this.#keep(socket.setNoDelay());
      // Clients that go away in the middle are what is tested.
      this.#serve(socket).catch(() => socket.destroy());
    });
  }

  static async start(options: SocksProxyOptions = {}): Promise<SocksProxy> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new SocksProxy(server, options);
  }

  url(scheme = "socks5h", login = ""): string {
    return `${scheme}://${login === "" ? "" : `${login}@`}127.0.0.1:${this.port}`;
  }

  /** Resolves when a client came to the step. */
  async cameTo(step: Step): Promise<void> {
    await this.#watch.until(() => this.steps.includes(step), `a client at the ${step}`);
  }

  /** How many connections are open. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Resolves when there is no connection any more. */
  async left(): Promise<void> {
    await this.#watch.until(() => this.#sockets.size === 0, "the end of every connection");
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

  async #serve(socket: Socket): Promise<void> {
    const [version = 0] = await take(socket, 1);
    if (version === 4) return this.#serve4(socket);
    const { credentials } = this.#options;
    const [count = 0] = await take(socket, 1);
    const methods = await take(socket, count);
    const method = credentials === undefined ? 0 : 2;
    const known = methods.includes(method);
    if (!(await this.#answer(socket, "greeting", [5, known ? method : 255])) || !known) return;
    let user: string | undefined;
    if (method === 2) {
      await take(socket, 1);
      user = await takeText(socket);
      const right = `${user}:${await takeText(socket)}` === credentials;
      if (!(await this.#answer(socket, "login", [1, right ? 0 : 1])) || !right) return;
    }
    const [, , , type = 0] = await take(socket, 4);
    const kind = type === 1 ? "ipv4" : type === 3 ? "name" : "ipv6";
    const host =
      kind === "ipv4"
        ? [...(await take(socket, 4))].join(".")
        : kind === "name"
          ? await takeText(socket)
          : (await take(socket, 16)).toString("hex");
    const port = (await take(socket, 2)).readUInt16BE();
    this.asked.push({ version, kind, host, port, user });
    await this.#connect(socket, port, [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  }

  async #serve4(socket: Socket): Promise<void> {
    const head = await take(socket, 7);
    const port = head.readUInt16BE(1);
    const address = [...head.subarray(3)].join(".");
    const user = await takeUntilNul(socket);
    const named = /^0\.0\.0\.[1-9]/.test(address);
    const host = named ? await takeUntilNul(socket) : address;
    const kind = named ? "name" : "ipv4";
    this.asked.push({ version: 4, kind, host, port, user });
    await this.#connect(socket, port, [0, 90, 0, 0, 0, 0, 0, 0]);
  }

  async #connect(socket: Socket, port: number, granted: readonly number[]): Promise<void> {
    const behind = this.#keep(connect(port, "127.0.0.1"));
    socket.once("close", () => behind.destroy());
    behind.once("close", () => socket.destroy());
    await once(behind, "connect");
    if (!(await this.#answer(socket, "request", granted))) return;
    socket.pipe(behind).pipe(socket);
  }

  /** Answers, unless it is time for bad manners: then false. */
  async #answer(socket: Socket, at: Step, answer: readonly number[]): Promise<boolean> {
    const { instead, dribbles } = this.#options;
    this.steps.push(at);
    this.#watch.changed();
    if (instead?.at !== at) {
      await write(socket, Buffer.from(answer), dribbles === true);
      return true;
    }
    await write(socket, Buffer.from(instead.answer ?? []), dribbles === true);
    // What the client still says is read: the connection is not over before.
    socket.resume();
    if (instead.after === "end") socket.end();
    if (instead.after === "reset") socket.resetAndDestroy();
    return false;
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#watch.changed();
    });
    return socket;
  }
}

async function write(socket: Socket, bytes: Buffer, dribbles: boolean): Promise<void> {
  const pieces = dribbles ? Array.from(bytes, (byte) => Buffer.of(byte)) : [bytes];
  for (const piece of pieces) {
    if (piece.length === 0) continue;
    await new Promise((resolve) => socket.write(piece, resolve));
    // The next turn: the client reads them one by one.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The next bytes. Rejects when there are no more so many. */
async function take(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const taken = socket.read(count) as Buffer | null;
    if (taken?.length === count) return taken;
    if (socket.readableEnded || socket.destroyed) throw new Error("the client left");
    const left = new AbortController();
    socket.once("close", () => left.abort());
    await once(socket, "readable", { signal: left.signal });
  }
}

/** A text behind a byte with its length. */
async function takeText(socket: Socket): Promise<string> {
  const [count = 0] = await take(socket, 1);
  return count === 0 ? "" : (await take(socket, count)).toString();
}

async function takeUntilNul(socket: Socket): Promise<string> {
  let text = "";
  for (;;) {
    const [byte = 0] = await take(socket, 1);
    if (byte === 0) return text;
    text += String.fromCharCode(byte);
  }
}
