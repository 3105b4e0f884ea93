/**
 * The check that a body of `pattern.ts` arrived as it was sent: nothing lost, doubled or out of place.
 */
import { PERIOD_BYTES, slice } from "./pattern.ts";

/** Every so many pieces are compared whole; of the others the beginning and the end. Comparing all would cost a third of receiving. */
const WHOLE_EVERY = 8;
const EDGE_BYTES = 64;

/** Follows a body from its beginning. */
export class Checker {
  #bytes = 0;
  #pieces = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws Error when the piece is not what follows. */
  push(piece: Buffer): void {
    const { length } = piece;
    if (this.#pieces++ % WHOLE_EVERY === 0 || length <= 2 * EDGE_BYTES) {
      for (let at = 0; at < length; at += PERIOD_BYTES) {
        this.#compare(piece, at, Math.min(length, at + PERIOD_BYTES));
      }
    } else {
      this.#compare(piece, 0, EDGE_BYTES);
      this.#compare(piece, length - EDGE_BYTES, length);
    }
    this.#bytes += length;
  }

  #compare(piece: Buffer, from: number, to: number): void {
    if (!piece.subarray(from, to).equals(slice(this.#bytes + from, to - from))) {
      throw new Error(`wrong bytes at ${this.#bytes + from} of a body`);
    }
  }
}
