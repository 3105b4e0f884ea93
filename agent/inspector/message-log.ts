/** What a stream's bytes say, piece by piece: the first ones and the latest, of each no more than its beginning. */
import type { Direction, Message } from "./api.ts";
import { memoryOf } from "./text.ts";

/** Kept of the content of one. */
export const MOST_TEXT_BYTES = 4096;

/** Kept of the beginning, whatever comes. */
const FIRST = 100;
const MOST = 1000;
/** So many are forgotten at once. */
const BATCH = 100;
const MOST_BYTES = 1024 * 1024;

/** What one takes beside its text and its label. */
const MESSAGE_BYTES = 128;

/** What a parser says of one. */
export interface Said {
  readonly kind: Message["kind"];
  readonly bytes: number;
  readonly text: string;
  readonly cut: boolean;
  readonly label?: string;
}

export class MessageLog {
  readonly #kept: Message[] = [];
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  /** What it takes, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  add(at: number, direction: Direction, said: Said): void {
    this.#kept.push({ n: this.#count++, at, direction, ...said });
    this.#bytes += sizeOf(said);
    if (this.#kept.length > MOST) this.#forget(BATCH);
    while (this.#bytes > MOST_BYTES) this.#forget(1);
  }

  read(from = 0): Message[] {
    return this.#kept.filter(({ n }) => n >= from);
  }

  #forget(count: number): void {
    // Of the beginning too, when a few large ones are all that there is room for.
    const first = Math.min(FIRST, this.#kept.length >> 1);
    for (const each of this.#kept.splice(first, count)) this.#bytes -= sizeOf(each);
  }
}

function sizeOf({ text, label = "" }: Said): number {
  return MESSAGE_BYTES + memoryOf(text) + memoryOf(label);
}
