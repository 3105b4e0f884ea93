/**
 * The memory that is promised to peers: every window is reserved here before it is granted, so that the
 * sum of all windows can never exceed the budget, however many readers stall.
 *
 * A promise cannot be taken back (the bytes may be on their way), so the budget is careful with those it does not
 * know: a new body starts with a small window, and only one that is read steadily may use the last of it.
 */
import { assert } from "./assert.ts";
import {
  BUDGET_BYTES,
  BUSY_WINDOW_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_WINDOW_BYTES,
  MIN_WINDOW_BYTES,
} from "./limits.ts";

/** What is known of the reader of a body: nothing yet, that it reads at a pace, or that it has read more than any buffer holds. */
export type Reader = "new" | "steady" | "proven";

/** The part of the budget that readers leave alone when their windows grow. */
const keptFree: Record<Reader, number> = { new: 3 / 4, steady: 1 / 2, proven: 1 / 16 };

export class Budget {
  readonly totalBytes: number;
  #usedBytes = 0;
  #retainedBytes = 0;

  constructor(totalBytes: number = BUDGET_BYTES) {
    this.totalBytes = totalBytes;
  }

  /** Reserved now: the windows of all bodies still arriving, and what has arrived of the others and is not consumed. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Sent messages that peers have not acknowledged. */
  get retainedBytes(): number {
    return this.#retainedBytes;
  }

  get freeBytes(): number {
    return Math.max(0, this.totalBytes - this.#usedBytes - this.#retainedBytes);
  }

  /** Whether nothing is left: retained messages may have taken a little more than there was. */
  get exhausted(): boolean {
    return this.freeBytes === 0;
  }

  /** `bytes` more (or, negative, fewer) are retained. They are there already, so this cannot fail: it narrows what is promised next. */
  retain(bytes: number): void {
    this.#retainedBytes += bytes;
    assert(this.#retainedBytes >= 0, "nothing is released that was not retained");
  }

  /** Reserves the window of a new body; 0 when there is no room for even the smallest. */
  admit(): number {
    const free = this.freeBytes;
    const wanted = this.plentiful
      ? INITIAL_WINDOW_BYTES
      : this.scarce
        ? MIN_WINDOW_BYTES
        : BUSY_WINDOW_BYTES;
    if (wanted > free) return 0;
    this.#usedBytes += wanted;
    return wanted;
  }

  /** Reserves exactly `bytes` (a window that was promised beforehand). False when they are not there. */
  reserve(bytes: number): boolean {
    if (bytes > this.freeBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /**
   * Reserves room for a window to grow from `windowBytes` towards `targetBytes`; returns by how much it may.
   * What it leaves alone depends on what is known of the reader; and none takes more than half of what is free, so that
   * a newcomer always finds room.
   */
  grow(windowBytes: number, targetBytes: number, reader: Reader): number {
    const room = Math.min(this.freeBytes - this.totalBytes * keptFree[reader], this.freeBytes / 2);
    const wanted = Math.min(targetBytes, MAX_WINDOW_BYTES) - windowBytes;
    const granted = Math.max(0, Math.min(wanted, Math.floor(room)));
    this.#usedBytes += granted;
    return granted;
  }

  /** Whether there is room enough to be generous with readers nobody knows. */
  get plentiful(): boolean {
    return this.freeBytes >= this.totalBytes * 0.75;
  }

  /** Whether windows should shrink where they can. */
  get scarce(): boolean {
    return this.freeBytes < this.totalBytes * 0.25;
  }

  /** Gives back what `admit`, `reserve` or `grow` reserved. */
  release(bytes: number): void {
    this.#usedBytes -= bytes;
    assert(this.#usedBytes >= 0, "nothing is released that was not reserved");
  }
}
