/**
 * Bodies that need not be stored: each byte follows from the exchange, the direction and the offset.
 */
import { HEADROOM_BYTES } from "../../codec/limits.ts";
import { Random } from "./random.ts";

/** A prime: no chunk size of a protocol divides it, so that a chunk out of place never fits by chance. */
const PERIOD = 65_521;
/** The longest piece that is made or compared at once. */
const PIECE_BYTES = 65_536;

const random = new Random(1);
const bytes = Buffer.alloc(PERIOD + PIECE_BYTES);
for (let i = 0; i < PERIOD; i++) bytes[i] = random.between(0, 255);
bytes.copy(bytes, PERIOD, 0, PIECE_BYTES);

export class Pattern {
  readonly #start: number;

  constructor(exchange: number, direction: "request" | "answer") {
    this.#start = (exchange * 2 + (direction === "answer" ? 1 : 0)) * 7919;
  }

  /** `size` bytes from `offset` on, in memory of their own, behind the headroom of a frame if that is wanted. */
  bytes(offset: number, size: number, headroom: boolean): Uint8Array {
    const from = (this.#start + offset) % PERIOD;
    const free = headroom ? HEADROOM_BYTES : 0;
    const piece = new Uint8Array(free + size).subarray(free);
    piece.set(bytes.subarray(from, from + size));
    return piece;
  }

  /** Whether `piece` is what belongs at `offset`. */
  matches(offset: number, piece: Uint8Array): boolean {
    for (let at = 0; at < piece.length; at += PIECE_BYTES) {
      const part = piece.subarray(at, at + PIECE_BYTES);
      const from = (this.#start + offset + at) % PERIOD;
      if (bytes.compare(part, 0, part.length, from, from + part.length) !== 0) return false;
    }
    return true;
  }
}

/** The most that `Pattern.bytes` gives at once. */
export const MOST_PIECE_BYTES = PIECE_BYTES;
