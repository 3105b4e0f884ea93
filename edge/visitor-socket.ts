/**
 * A visitor's WebSocket, joined to the origin's through an exchange: whole messages on the visitor's side, bytes of a
 * WebSocket connection on the other.
 *
 * The runtime reads a visitor as fast as it sends, whatever we do: what the origin does not read is bounded by ending the
 * connection. It also queues without bound what a visitor does not read, but tells how much: the origin's bytes are read
 * on, and so credit is given back, only when the visitor has taken what came before.
 */
import type { ErrorCode } from "../codec/errors.ts";
import type { Exchange } from "../codec/exchange.ts";
import { closeFrame, FrameReader, messageFrame, pongFrame } from "./websocket-frames.ts";
import type { About } from "./log.ts";
import { codeOf } from "./refusal.ts";
import type { Holder, SocketMemory } from "./socket-memory.ts";
import type { Tally } from "./totals.ts";

const MiB = 1024 * 1024;

/** The largest message from the origin: it is put together in memory, and an object has 128 MB. The runtime's own bound is 32 MiB. */
const MAX_SOCKET_MESSAGE_BYTES = 16 * MiB;

/** What a visitor may send after its end, beside what was on its way. */
const MAX_DROPPED_BYTES = 2 * MiB;

/** When a visitor that reads too slowly is looked at again: soon, then more and more seldom, as no event tells that it has read. */
const [FIRST_LOOK_MS, MAX_LOOK_MS] = [1, 64];

/** How long an origin may take to close its connection once both have said goodbye, or the visitor alone: as long as browsers and ws give. */
const CLOSING_MS = 30_000;

/** Close codes of RFC 6455 section 7.4.1. */
const closes = {
  goingAway: 1001,
  noCode: 1005,
  broken: 1006,
  tryAgainLater: 1013,
  originFailed: 1014,
} as const;

export interface SocketWatch {
  readonly about: About;
  readonly tally: Tally;
  /** Called once, when the connection is over. */
  readonly over: (cut?: ErrorCode) => void;
}

/** Joins a visitor to the origin, which has accepted its WebSocket: the answer, with `headers`, holds the visitor's end. */
export function joinVisitor(
  exchange: Exchange,
  headers: Headers,
  memory: SocketMemory,
  watch: SocketWatch,
): Response {
  const { 0: webSocket, 1: ours } = new WebSocketPair();
  new VisitorSocket(ours, exchange, memory, watch).start();
  return new Response(null, { status: 101, webSocket, headers });
}

class VisitorSocket implements Holder {
  readonly #ws: WebSocket;
  readonly #exchange: Exchange;
  readonly #memory: SocketMemory;
  readonly #watch: SocketWatch;
  /** The last word to the origin is said: the visitor's goodbye, or the answer to the origin's own. */
  #saidGoodbye = false;
  /** Runs from then on. */
  #closing: ReturnType<typeof setTimeout> | null = null;
  #over = false;
  #droppedBytes = 0;

  /** `ws` is our end of the visitor's pair; `exchange` has been answered with 101. */
  constructor(ws: WebSocket, exchange: Exchange, memory: SocketMemory, watch: SocketWatch) {
    this.#ws = ws;
    this.#exchange = exchange;
    this.#memory = memory;
    this.#watch = watch;
  }

  /** Begins to pass messages both ways. */
  start(): void {
    const ws = this.#ws;
    // Otherwise binary messages are Blobs from some compatibility date on.
    ws.binaryType = "arraybuffer";
    ws.accept();
    this.#memory.join(this);
    ws.addEventListener("message", ({ data }) => {
      const message = typeof data === "string" ? data : taken(data as ArrayBuffer);
      if (this.#isDeaf()) this.#drop(message.length);
      else this.#send(messageFrame(message));
    });
    ws.addEventListener("close", ({ code, reason }) => this.#visitorClosed(code, reason));
    ws.addEventListener("error", () => this.#visitorClosed(closes.broken, ""));
    void this.#receive();
  }

  get unreadBytes(): number {
    return this.#exchange.outgoing.queuedBytes;
  }

  get unsentBytes(): number {
    return this.#ws.bufferedAmount;
  }

  sendAway(): void {
    this.#close(closes.tryAgainLater, "the origin does not read");
    this.#end("overloaded");
  }

  /** Nothing that is said reaches the origin any more. */
  #isDeaf(): boolean {
    return this.#over || this.#saidGoodbye;
  }

  /**
   * What a visitor says before it hears that it is over is lost. One that does not stop is hung up on: the runtime would
   * read on for ever, but for a listener that throws (`readLoop` in workerd's web-socket.c++).
   */
  #drop(bytes: number): void {
    this.#droppedBytes += bytes;
    if (this.#droppedBytes > MAX_DROPPED_BYTES) {
      throw new Error("The visitor's WebSocket is closed, and it goes on sending: hung up.");
    }
  }

  #send(pieces: readonly Uint8Array[]): void {
    if (this.#isDeaf()) return;
    let bytes = 0;
    for (const piece of pieces) bytes += piece.byteLength;
    // Pongs too: an origin may ask for them and not read them.
    this.#memory.makeRoom(this, bytes);
    if (this.#isDeaf()) return;
    this.#watch.tally.fromVisitor(bytes);
    for (const piece of pieces) this.#exchange.outgoing.write(piece);
  }

  /**
   * The visitor is done, or gone: then nothing is said to the origin, whose connection breaks as the visitor's did. Only the
   * first word counts: behind a close the runtime also reports an error, "Network connection lost".
   */
  #visitorClosed(code: number, reason: string): void {
    if (this.#saidGoodbye) return;
    if (code === closes.broken) this.#end("cancelled");
    else this.#sayGoodbye(code === closes.noCode ? undefined : code, reason);
  }

  /** After this nothing goes to the origin. It has to close its connection, which it may put off for a while, and no longer. */
  #sayGoodbye(code: number | undefined, reason: string): void {
    this.#send(closeFrame(code, reason));
    if (this.#isDeaf()) return;
    this.#saidGoodbye = true;
    this.#exchange.outgoing.end();
    this.#closing = setTimeout(() => {
      this.#close(closes.originFailed, "the origin did not close the connection");
      this.#end("origin-timeout", `not closed within ${CLOSING_MS} ms`);
    }, CLOSING_MS);
  }

  async #receive(): Promise<void> {
    const { incoming } = this.#exchange;
    const reader = new FrameReader(MAX_SOCKET_MESSAGE_BYTES);
    let closed = false;
    try {
      for await (const bytes of incoming) {
        this.#watch.tally.toVisitor(bytes.byteLength);
        // What comes behind a close frame means nothing (RFC 6455 section 5.5.1).
        if (closed) continue;
        for (const event of reader.read(bytes)) {
          // A visitor who has said goodbye hears no more, and the runtime would not send it.
          if (event.kind === "message") {
            if (!this.#saidGoodbye) this.#ws.send(event.data);
          } else if (event.kind === "ping") this.#send(pongFrame(event.payload));
          else {
            closed = true;
            this.#sayGoodbye(event.code, event.reason);
            this.#close(event.code, event.reason);
            break;
          }
        }
        await this.#visitorReads();
      }
      if (!closed) this.#close(closes.originFailed, "the origin closed the connection");
      this.#finish();
    } catch (error) {
      const code = codeOf(error, "websocket", this.#watch.about);
      this.#close(code === "agent-lost" ? closes.goingAway : closes.originFailed, code);
      this.#end(code);
    }
  }

  /** Returns when the visitor has taken most of what was sent. */
  async #visitorReads(): Promise<void> {
    let wait = FIRST_LOOK_MS;
    while (!this.#over && !this.#memory.maySend(this)) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(2 * wait, MAX_LOOK_MS);
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

  /** The origin has closed its connection. */
  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#memory.leave(this);
    clearTimeout(this.#closing);
    if (!this.#saidGoodbye) this.#exchange.outgoing.end();
    this.#watch.over();
  }

  #end(code: ErrorCode, note = ""): void {
    if (this.#over) return;
    this.#over = true;
    this.#memory.leave(this);
    clearTimeout(this.#closing);
    this.#exchange.cancel(code, note);
    this.#watch.over(code);
  }
}

/**
 * The bytes of a message, moved out of the event that brought it. An event lives until V8 collects its whole heap, which it
 * puts off for a gigabyte of them, as they count for little there; what is moved goes with the next scavenge.
 */
function taken(data: ArrayBuffer): Uint8Array {
  return new Uint8Array(data.transfer());
}
