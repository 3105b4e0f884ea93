/**
 * One direction of a network path, in user space: bytes come out unchanged and in order, later by a delay, and no
 * faster than a rate.
 *
 * Like a real line it takes what is sent at the rate it has; unlike one it loses nothing. Its sender waits (TCP's own
 * backpressure) while more than a short queue is ahead of the line, or while its receiver does not read.
 */
import type { Socket } from "node:net";
import { reset } from "./reset.ts";

export interface LineOptions {
  readonly delayMs: number;
  /** 0 is as fast as it goes. */
  readonly bytesPerMs: number;
}

/** The queue in front of a limited line: what a small router buffers, so that waiting shows where it arises, at the sender. */
const QUEUE_MS = 10;

/** A limited line hands bytes out in pieces of this size, as packets would come. */
const PACKET_BYTES = 4 * 1024;

/** How much may be due and not taken by the receiver. */
const UNTAKEN_BYTES = 1024 * 1024;

/** Timers fire up to a millisecond late; what is due within this is taken along. */
const EARLY_MS = 0.3;

export class Line {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #options: LineOptions;
  readonly #pieces: { dueMs: number; bytes: Buffer }[] = [];
  #next = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When the line will have sent what is ahead of it. */
  #freeMs = 0;
  #blocked = false;
  #untakenBytes = 0;
  #ended = false;

  constructor(from: Socket, to: Socket, options: LineOptions, seen: (chunk: Buffer) => void) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
    from.on("data", (chunk: Buffer) => {
      seen(chunk);
      this.#take(chunk);
    });
    from.on("end", () => {
      this.#ended = true;
      this.#deliver();
    });
    // A connection that breaks at one end breaks at the other, which may wait for no more than an end.
    from.on("error", () => reset(to));
    from.on("close", (failed) => {
      // What was sent before it closed well is still under way.
      if (failed) clearTimeout(this.#timer);
    });
    to.on("drain", () => {
      this.#blocked = false;
      this.#deliver();
      this.#resume();
    });
  }

  #take(chunk: Buffer): void {
    const { delayMs, bytesPerMs } = this.#options;
    if (delayMs === 0 && bytesPerMs === 0) {
      if (!this.#to.write(chunk)) {
        this.#blocked = true;
        this.#from.pause();
      }
      return;
    }
    const now = performance.now();
    if (bytesPerMs === 0) {
      this.#pieces.push({ dueMs: now + delayMs, bytes: chunk });
    } else {
      for (let at = 0; at < chunk.length; at += PACKET_BYTES) {
        const bytes = chunk.subarray(at, at + PACKET_BYTES);
        this.#freeMs = Math.max(this.#freeMs, now) + bytes.length / bytesPerMs;
        this.#pieces.push({ dueMs: this.#freeMs + delayMs, bytes });
      }
      const aheadMs = this.#freeMs - now;
      if (aheadMs > QUEUE_MS) {
        this.#from.pause();
        setTimeout(() => this.#resume(), aheadMs - QUEUE_MS / 2);
      }
    }
    if (this.#blocked) {
      this.#untakenBytes += chunk.length;
      if (this.#untakenBytes > UNTAKEN_BYTES) this.#from.pause();
    }
    this.#schedule(now);
  }

  #resume(): void {
    const { bytesPerMs } = this.#options;
    if (this.#blocked && this.#untakenBytes > UNTAKEN_BYTES) return;
    if (bytesPerMs > 0 && this.#freeMs - performance.now() > QUEUE_MS) return;
    this.#from.resume();
  }

  #schedule(now: number): void {
    const head = this.#pieces[this.#next];
    if (head === undefined || this.#timer !== undefined || this.#blocked) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#deliver();
      },
      Math.max(0, head.dueMs - now),
    );
  }

  /** Hands over what is due, as far as the receiver takes it. */
  #deliver(): void {
    const now = performance.now();
    while (!this.#blocked) {
      const head = this.#pieces[this.#next];
      if (head === undefined || head.dueMs > now + EARLY_MS) break;
      this.#next++;
      this.#blocked = !this.#to.write(head.bytes);
    }
    if (this.#next > 1024 || this.#next === this.#pieces.length) {
      this.#pieces.splice(0, this.#next);
      this.#next = 0;
    }
    if (!this.#blocked) this.#untakenBytes = 0;
    if (this.#pieces.length > 0) this.#schedule(now);
    else if (this.#ended) this.#to.end();
  }
}
