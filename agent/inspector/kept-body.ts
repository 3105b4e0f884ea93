/** The beginning of a body: as much as is shown, never more. */
import type { Slab } from "./slab.ts";

/** What is kept of each body. */
export const MOST_BODY_BYTES = 64 * 1024;

/** So many pieces become one: each takes a hundred bytes beside its own, and a visitor may send one byte at a time. */
const MOST_PIECES = 64;

export class KeptBody {
  #pieces: Uint8Array[] = [];
  #keptBytes = 0;
  /** Bytes that passed, kept or not. */
  bytes = 0;

  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Copies what there is room for. @returns how many bytes that was */
  add(bytes: Uint8Array, slab: Slab): number {
    this.bytes += bytes.length;
    const room = MOST_BODY_BYTES - this.#keptBytes;
    if (room === 0 || bytes.length === 0) return 0;
    const kept = slab.keep(bytes.length > room ? bytes.subarray(0, room) : bytes);
    this.#pieces.push(kept);
    this.#keptBytes += kept.length;
    if (this.#pieces.length === MOST_PIECES) this.#pieces = [new Uint8Array(this.read())];
    return kept.length;
  }

  /** What was kept, in one piece. */
  read(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  /** Gives the memory back; what passed stays counted. @returns how many bytes were kept */
  drop(): number {
    const bytes = this.#keptBytes;
    this.#pieces = [];
    this.#keptBytes = 0;
    return bytes;
  }
}
