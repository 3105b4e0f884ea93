/**
 * The receiving half of a stream: its state, its credit, and the chunks that have arrived and wait for their reader.
 *
 * A chunk counts as consumed when the reader comes back for the next one: only then has the one before really gone
 * on to the visitor or the origin.
 */
import type { BodyLength, HeaderList } from "./frame.ts";
import { type HalfInput, type HalfState, isOver, step } from "./half.ts";
import { Queue } from "./queue.ts";
import type { ReceiveCredit } from "./credit.ts";
import type { ErrorCode } from "./errors.ts";

/**
 * Small chunks that wait are joined up to this size. Credit counts bytes, but a chunk costs some 200 of them however
 * small it is: a body that comes a byte a frame would otherwise take two hundred times what the budget says.
 */
const JOINED_BYTES = 4096;

export class Inbox {
  readonly credit: ReceiveCredit;
  state: HalfState = "idle";
  trailers: HeaderList = [];
  /** Credit to be given to the sender with the next CREDIT frame. */
  dueBytes = 0;
  #length: BodyLength = "unknown";
  #receivedBytes = 0;
  readonly #chunks = new Queue<Uint8Array>();
  /** The memory in which small chunks are joined. */
  #joined: Uint8Array | undefined;
  /** The size of the chunk that is with the reader. */
  #withReaderBytes = 0;

  constructor(credit: ReceiveCredit) {
    this.credit = credit;
  }

  /** Moves the half on. False: the input is a protocol error in this state. */
  advance(input: HalfInput): boolean {
    const next = step(this.state, input);
    if (next === undefined) return false;
    this.state = next;
    return true;
  }

  /** The head has arrived: how much body it announces. */
  expect(length: BodyLength): void {
    this.#length = length;
    if (length === "none") this.finish([]);
  }

  /** Data has arrived. Returns the code of the sender's fault, if it has one. */
  put(bytes: Uint8Array): ErrorCode | undefined {
    if (!this.credit.receive(bytes.length)) return "flow-control-error";
    this.#receivedBytes += bytes.length;
    this.#append(bytes);
    if (typeof this.#length === "number" && this.#receivedBytes > this.#length) {
      return "body-mismatch";
    }
    return undefined;
  }

  #append(bytes: Uint8Array): void {
    const { last } = this.#chunks;
    if (last === undefined || last.length + bytes.length > JOINED_BYTES) {
      this.#chunks.push(bytes);
      return;
    }
    let joined = this.#joined;
    if (joined === undefined || joined.buffer !== last.buffer) {
      joined = new Uint8Array(JOINED_BYTES);
      joined.set(last);
      this.#joined = joined;
    }
    joined.set(bytes, last.length);
    this.#chunks.replaceLast(joined.subarray(0, last.length + bytes.length));
  }

  /** Whether what has arrived is all that the head announced. */
  get whole(): boolean {
    return typeof this.#length !== "number" || this.#receivedBytes === this.#length;
  }

  /** No more will arrive. */
  finish(trailers: HeaderList): void {
    this.state = "ended";
    this.trailers = trailers;
    this.dueBytes = 0;
    this.credit.close();
  }

  /** Hands out the next chunk. The one before is consumed by that: see `dueBytes`. */
  take(nowMs: number, rttMs: number): Uint8Array | undefined {
    if (this.#withReaderBytes > 0) {
      this.dueBytes += this.credit.consume(this.#withReaderBytes, nowMs, rttMs);
      this.#withReaderBytes = 0;
    }
    const chunk = this.#chunks.shift();
    this.#withReaderBytes = chunk?.length ?? 0;
    return chunk;
  }

  /** Whether a chunk waits for the reader. */
  get readable(): boolean {
    return this.#chunks.length > 0;
  }

  /** Whether all has arrived well and been handed out. */
  get drained(): boolean {
    return this.state === "ended" && !this.readable;
  }

  /** Drops everything: the half was cancelled, or its reader is gone. */
  discard(): void {
    if (!isOver(this.state)) this.state = "cancelled";
    this.#chunks.clear();
    this.#joined = undefined;
    this.#withReaderBytes = 0;
    this.dueBytes = 0;
    this.credit.discard();
  }
}
