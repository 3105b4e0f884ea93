/** A WebSocket client that sends on, whatever it is told: it reads nothing, and answers no close. */
import { connect, type Socket } from "node:net";

const MiB = 1024 * 1024;

const HANDSHAKE = [
  "host: edge",
  "connection: upgrade",
  "upgrade: websocket",
  "sec-websocket-version: 13",
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
];

/** RFC 6455 section 5.2: the last frame of a message. */
const first = { text: 0x81, bytes: 0x82 } as const;

export class WebSocketFlood {
  readonly #socket: Socket;
  readonly #hungUp: Promise<void>;

  /** `fields` are lines of the handshake beside those that every one has. */
  constructor(port: number, path: string, fields: readonly string[] = []) {
    this.#socket = connect(port, "127.0.0.1");
    this.#hungUp = new Promise((resolve) => this.#socket.on("close", () => resolve()));
    // Writing to a socket that was hung up on fails, as it should.
    this.#socket.on("error", () => {});
    this.#socket.write([`GET ${path} HTTP/1.1`, ...HANDSHAKE, ...fields, "", ""].join("\r\n"));
  }

  /**
   * Sends messages of 256 KiB until `mostBytes` are under way or the other side has hung up.
   * @returns how many MiB it wrote
   */
  async send(kind: keyof typeof first, mostBytes: number): Promise<number> {
    // Masked with zeros, and ASCII.
    const frame = Buffer.alloc(14 + MiB / 4, "a");
    frame.set([first[kind], 0xff]);
    frame.writeBigUInt64BE(BigInt(frame.length - 14), 2);
    frame.fill(0, 10, 14);
    let sent = 0;
    for (; sent < mostBytes && !this.#socket.destroyed; sent += frame.length) {
      const drained = new Promise((resolve) => this.#socket.once("drain", resolve));
      if (!this.#socket.write(frame)) await Promise.race([drained, this.#hungUp]);
    }
    return sent / MiB;
  }

  async hungUp(): Promise<void> {
    await this.#hungUp;
  }

  leave(): void {
    this.#socket.destroy();
  }
}
