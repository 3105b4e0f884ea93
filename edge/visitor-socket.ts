/**
 * A visitor's WebSocket, joined to the origin's through an exchange: whole messages on the visitor's side, bytes of a
 * WebSocket connection on the other.
 *
 * The runtime reads a visitor as fast as it sends, whatever we do, and sends to it without bound. So what the origin does
 * not read is bounded by ending the connection, and the origin's messages go on only as fast as credit is given back.
 */
import type { ErrorCode } from "../codec/errors.ts";
import type { Exchange } from "../codec/exchange.ts";
import { closeFrame, FrameReader, messageFrame, pongFrame } from "./websocket-frames.ts";
import { codeOf } from "./refusal.ts";
import type { Totals } from "./totals.ts";

const MiB = 1024 * 1024;

/** The largest message from the origin: it is put together in memory, and an object has 128 MB. The runtime's own bound is 32 MiB. */
const MAX_SOCKET_MESSAGE_BYTES = 16 * MiB;

/** What the origin may leave unread of a visitor's messages: with one more the visitor is sent away. A single message may be larger. */
const MAX_UNREAD_BYTES = 2 * MiB;

/** What the runtime may hold of our messages for a visitor that does not read, where it tells. */
const MAX_UNSENT_BYTES = 1 * MiB;

/** How often a visitor that does not read is looked at again. */
const LOOK_MS = 20;

/** Close codes of RFC 6455 section 7.4.1. */
const closes = {
  goingAway: 1001,
  noCode: 1005,
  broken: 1006,
  tryAgainLater: 1013,
  originFailed: 1014,
} as const;

export interface SocketWatch {
  readonly totals: Totals;
  /** Called once, when the connection is over. */
  readonly over: (cut?: ErrorCode) => void;
}

export class VisitorSocket {
  readonly #ws: WebSocket;
  readonly #exchange: Exchange;
  readonly #watch: SocketWatch;
  /** The visitor has closed it, or is gone. */
  #left = false;
  #over = false;

  /** `ws` is our end of the visitor's pair; `exchange` has been answered with 101. */
  constructor(ws: WebSocket, exchange: Exchange, watch: SocketWatch) {
    this.#ws = ws;
    this.#exchange = exchange;
    this.#watch = watch;
  }

  /** Begins to pass messages both ways. */
  start(): void {
    const ws = this.#ws;
    // Otherwise binary messages are Blobs from some compatibility date on.
    ws.binaryType = "arraybuffer";
    ws.accept();
    ws.addEventListener("message", ({ data }) => {
      this.#send(
        messageFrame(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer)),
      );
    });
    ws.addEventListener("close", ({ code, reason }) => this.#visitorClosed(code, reason));
    ws.addEventListener("error", () => this.#visitorClosed(closes.broken, ""));
    void this.#receive();
  }

  #send(pieces: readonly Uint8Array[]): void {
    const { outgoing } = this.#exchange;
    if (this.#over) return;
    if (outgoing.queuedBytes > MAX_UNREAD_BYTES) {
      this.#close(closes.tryAgainLater, "the origin does not read");
      this.#end("overloaded");
      return;
    }
    for (const piece of pieces) {
      this.#watch.totals.bytesFromVisitors += piece.byteLength;
      outgoing.write(piece);
    }
  }

  /**
   * The visitor is done, or gone: then nothing is said to the origin, whose connection breaks as the visitor's did. Only the
   * first word counts: behind a close the runtime also reports an error, "Network connection lost".
   */
  #visitorClosed(code: number, reason: string): void {
    if (this.#over || this.#left) return;
    this.#left = true;
    if (code === closes.broken) {
      this.#end("cancelled");
      return;
    }
    this.#send(closeFrame(code === closes.noCode ? undefined : code, reason));
    this.#exchange.outgoing.end();
  }

  async #receive(): Promise<void> {
    const { incoming } = this.#exchange;
    const reader = new FrameReader(MAX_SOCKET_MESSAGE_BYTES);
    try {
      for await (const bytes of incoming) {
        this.#watch.totals.bytesToVisitors += bytes.byteLength;
        for (const event of reader.read(bytes)) {
          if (event.kind === "message") this.#ws.send(event.data);
          else if (event.kind === "ping") this.#send(pongFrame(event.payload));
          else {
            this.#send(closeFrame(event.code, event.reason));
            this.#close(event.code, event.reason);
            this.#finish();
            return;
          }
        }
        await this.#visitorReads();
      }
      // The origin's connection ended without a close frame.
      this.#close(closes.originFailed, "the origin closed the connection");
      this.#finish();
    } catch (error) {
      const code = codeOf(error, "websocket");
      this.#close(code === "agent-lost" ? closes.goingAway : closes.originFailed, code);
      this.#end(code);
    }
  }

  /** Returns when the visitor has taken most of what was sent, where the runtime tells (`bufferedAmount`, workerd since 1.20261117). */
  async #visitorReads(): Promise<void> {
    const unsent = (): number =>
      "bufferedAmount" in this.#ws ? Number(this.#ws.bufferedAmount) || 0 : 0;
    while (!this.#over && unsent() > MAX_UNSENT_BYTES) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  #close(code: number | undefined, reason: string): void {
    try {
      if (code === undefined) this.#ws.close();
      else this.#ws.close(code, reason);
    } catch {
      // It is closed already, or the code is not one that may be sent.
    }
  }

  /** Both sides have said goodbye. */
  #finish(): void {
    if (this.#over) return;
    this.#exchange.outgoing.end();
    this.#over = true;
    this.#watch.over();
  }

  #end(code: ErrorCode): void {
    if (this.#over) return;
    this.#over = true;
    this.#exchange.cancel(code);
    this.#watch.over(code);
  }
}
