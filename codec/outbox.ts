/**
 * The sending half of a stream: its state, its credit, and the chunks that wait for credit and for their turn.
 */
import { assert } from "./assert.ts";
import type { SendCredit } from "./credit.ts";
import type { BodyLength, HeaderList } from "./frame.ts";
import { type HalfInput, type HalfState, isOver, step } from "./half.ts";
import { Queue } from "./queue.ts";

export class Outbox {
  readonly credit: SendCredit;
  state: HalfState = "idle";
  /** See `OutgoingBody.headroom`. */
  headroom = false;
  #length: BodyLength = "unknown";
  #writtenBytes = 0;
  #queuedBytes = 0;
  readonly #chunks = new Queue<Uint8Array>();
  /** Set when the writer is done: END goes out after the last chunk. */
  #trailers: HeaderList | undefined;

  constructor(credit: SendCredit) {
    this.credit = credit;
  }

  /** Moves the half on; an impossible move is a mistake of ours. */
  advance(input: HalfInput): void {
    const next = step(this.state, input);
    assert(next !== undefined, `${input} is not sent on a half that is ${this.state}`);
    this.state = next;
  }

  /** The head goes out: how much body it announces. */
  announce(length: BodyLength): void {
    this.advance("head");
    this.#length = length;
    if (length === "none") this.advance("end");
  }

  /** Queues a chunk of at least one byte. */
  put(bytes: Uint8Array): void {
    this.advance("data");
    assert(this.#trailers === undefined, "nothing is written after the end");
    this.#writtenBytes += bytes.length;
    this.#queuedBytes += bytes.length;
    this.#chunks.push(bytes);
  }

  /** The writer is done. */
  close(trailers: HeaderList): void {
    assert(this.state === "open" && this.#trailers === undefined, "a body is ended once");
    this.#trailers = trailers;
  }

  /** Whether the head announced exactly `writtenBytes`, or nothing exact. */
  get whole(): boolean {
    return typeof this.#length !== "number" || this.#writtenBytes === this.#length;
  }

  /** Whether more was written than the head announced. */
  get overfull(): boolean {
    return typeof this.#length === "number" && this.#writtenBytes > this.#length;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Whether a turn would send something: a chunk that has credit, or the end. */
  get sendable(): boolean {
    if (this.state !== "open") return false;
    return this.#queuedBytes > 0 ? this.credit.bytes > 0 : this.#trailers !== undefined;
  }

  /** Whether the writer is done and all it wrote is out: the trailers, else undefined. */
  get ending(): HeaderList | undefined {
    return this.#queuedBytes === 0 ? this.#trailers : undefined;
  }

  /** Cuts at most `maxBytes` of the next chunk, as credit allows. Call only when `sendable` and bytes are queued. */
  cut(maxBytes: number): Uint8Array {
    const chunk = this.#chunks.first;
    assert(chunk !== undefined, "a turn is taken only with something to send");
    const size = Math.min(chunk.length, maxBytes, this.credit.bytes);
    assert(size > 0, "a turn is taken only with credit");
    this.credit.spend(size);
    this.#queuedBytes -= size;
    if (size === chunk.length) {
      this.#chunks.shift();
      return chunk;
    }
    this.#chunks.replaceFirst(chunk.subarray(size));
    return chunk.subarray(0, size);
  }

  /** Drops everything: the half was cancelled. */
  discard(): void {
    if (!isOver(this.state)) this.state = "cancelled";
    this.#chunks.clear();
    this.#queuedBytes = 0;
    this.#trailers = undefined;
  }
}
