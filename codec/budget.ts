/**
 * The memory that one session promises to its peer: every window is reserved here before it is granted, so that the
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

export class Budget {
  readonly totalBytes: number;
  #usedBytes = 0;

  constructor(totalBytes: number = BUDGET_BYTES) {
    this.totalBytes = totalBytes;
  }

  /** Reserved now: the windows of all bodies still arriving, and what has arrived of the others and is not consumed. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get freeBytes(): number {
    return this.totalBytes - this.#usedBytes;
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
   * Readers that are not known to be steady share what is above three quarters; steady ones all but a sixteenth, and
   * none takes more than half of what is free, so that a newcomer always finds room.
   */
  grow(windowBytes: number, targetBytes: number, steady: boolean): number {
    const keepFree = this.totalBytes * (steady ? 1 / 16 : 3 / 4);
    const room = Math.floor(Math.min(this.freeBytes - keepFree, this.freeBytes / 2));
    const wanted = Math.min(targetBytes, MAX_WINDOW_BYTES) - windowBytes;
    const granted = Math.max(0, Math.min(wanted, room));
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
