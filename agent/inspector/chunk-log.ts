/** When each piece of a body passed: the first ones and the latest; in between they are only counted. */
import type { Chunk, Direction } from "./api.ts";

/** Kept of the beginning and of the end. */
const FIRST = 200;
const LATEST = 800;

/** So many are forgotten at once. */
const BATCH = 200;

/** Numbers for each: time, bytes (negative towards the origin), credit, queued. */
const FIELDS = 4;

/** What a full log takes. */
export const CHUNK_LOG_BYTES = (FIRST + LATEST + BATCH) * FIELDS * 8;

export class ChunkLog {
  readonly #numbers: number[] = [];
  #count = 0;

  /** How many passed. */
  get count(): number {
    return this.#count;
  }

  /** What it takes, in bytes. */
  get bytes(): number {
    return this.#numbers.length * 8;
  }

  add(at: number, direction: Direction, bytes: number, credit: number, queued: number): void {
    const numbers = this.#numbers;
    numbers.push(at, direction === "in" ? -bytes : bytes, credit, queued);
    this.#count++;
    if (numbers.length >= (FIRST + LATEST + BATCH) * FIELDS) {
      numbers.splice(FIRST * FIELDS, BATCH * FIELDS);
    }
  }

  /** Those that are kept, from number `from` on. */
  read(from = 0): Chunk[] {
    const numbers = this.#numbers;
    const kept = numbers.length / FIELDS;
    const forgotten = this.#count - kept;
    const chunks: Chunk[] = [];
    for (let i = 0; i < kept; i++) {
      const n = i < FIRST ? i : i + forgotten;
      if (n < from) continue;
      const [at = 0, bytes = 0, creditBytes = 0, queuedBytes = 0] = numbers.slice(
        i * FIELDS,
        (i + 1) * FIELDS,
      );
      const direction = bytes < 0 ? "in" : "out";
      chunks.push({ n, at, direction, bytes: Math.abs(bytes), creditBytes, queuedBytes });
    }
    return chunks;
  }
}
