/**
 * How much of an answer one pull hands to the runtime: much where readers are few or fast, little where many stall.
 *
 * workerd keeps up to sixteen writes, and half a megabyte, behind each answer whose visitor does not read, on top of
 * what the kernel's socket buffers take; one write is what one pull enqueued. None of it shows in a session's
 * accounts: five hundred stalled visitors hold 280 MiB at 64 KiB a pull, and 31 MiB at 4 KiB. So it is counted here.
 */
import { PROVEN_READER_BYTES } from "../codec/limits.ts";

const KiB = 1024;

/** What the runtime may hold behind all answers before pulls become as small as they get. An object has 128 MB. */
const BUDGET_BYTES = 16 * KiB * KiB;

/** The runtime's own bounds behind one answer. */
const HELD_WRITES = 16;
const HELD_BYTES = 512 * KiB;

/** 64 KiB a pull is as fast as any; 4 KiB costs seven times the CPU a byte, and less would save nothing. */
const MOST_BYTES = 64 * KiB;
const LEAST_BYTES = 4 * KiB;

/** The part of what is left that one write may take: full speed until a quarter is left, then less and less. */
const SHARE = 1 / 64;

/** All answers of one object. */
export class Pace {
  /** What the runtime may hold now, by our reckoning. */
  heldBytes = 0;

  /** An answer begins to be streamed. */
  begin(): Flow {
    return new Flow(this);
  }

  /** What the next write of any answer may be, in bytes. */
  get burstBytes(): number {
    const share = Math.floor((BUDGET_BYTES - this.heldBytes) * SHARE);
    return Math.max(LEAST_BYTES, Math.min(MOST_BYTES, share));
  }
}

/** One answer. */
export class Flow {
  readonly #pace: Pace;
  #sentBytes = 0;
  #heldBytes = 0;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** What the next pull may enqueue. A visitor who took more than socket buffers hold is no stalled reader. */
  get burstBytes(): number {
    return this.#sentBytes >= PROVEN_READER_BYTES ? MOST_BYTES : this.#pace.burstBytes;
  }

  /** A pull has enqueued `bytes`. What lies behind an answer then is at most the last sixteen writes, reckoned as a moving sum. */
  sent(bytes: number): void {
    this.#sentBytes += bytes;
    const before = this.#heldBytes;
    const sum = before * (1 - 1 / HELD_WRITES) + bytes;
    this.#heldBytes = Math.min(sum, HELD_BYTES + bytes);
    this.#pace.heldBytes += this.#heldBytes - before;
  }

  /** The answer is over, one way or the other. */
  end(): void {
    this.#pace.heldBytes -= this.#heldBytes;
    this.#heldBytes = 0;
  }
}
