/**
 * Credit: how many bytes of one body a sender may still send, seen from both ends.
 *
 * Credit is given back on consumption, never on receipt; it is the only backpressure there is. A window is sized so
 * that the sender never waits for credit on a path of the measured round trip at the measured rate, and no larger:
 * what is beyond that would only wait in queues.
 */
import { assert } from "./assert.ts";
import type { Budget, Reader } from "./budget.ts";
import {
  BUSY_WINDOW_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_CREDIT_BYTES,
  MIN_RTT_MS,
  PROVEN_READER_BYTES,
  SHARED_DATA_BYTES,
  STEADY_READER_MS,
} from "./limits.ts";

/** Credit goes back when it is this part of the window. */
const CREDIT_SHARE = 8;

/** The window over what is consumed in a round trip, while that rises, and then. */
const RISING_GAIN = 3;
const STEADY_GAIN = 1.38;

/** After so many epochs without a rise the rate is the path's or the reader's, not the window's (BBR has the same rule). */
const FLAT_EPOCHS = 3;

/** The sender's side. */
export class SendCredit {
  #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds what a CREDIT frame gave. False when the sum is beyond the protocol's bound: the peer's fault. */
  add(bytes: number): boolean {
    if (this.#bytes + bytes > MAX_CREDIT_BYTES) return false;
    this.#bytes += bytes;
    return true;
  }

  spend(bytes: number): void {
    this.#bytes -= bytes;
    assert(this.#bytes >= 0, "a sender never spends more than it was given");
  }
}

/** The receiver's side. Invariant: `granted + buffered <= window`, and the budget holds `window` for it until closed. */
export class ReceiveCredit {
  readonly #budget: Budget;
  #windowBytes: number;
  /** What the window shrinks to as the sender uses it up: what is granted cannot be taken back. */
  #goalBytes = Number.POSITIVE_INFINITY;
  /** Credit the sender holds or that is on its way there. */
  #grantedBytes: number;
  /** Received and not consumed. */
  #bufferedBytes = 0;
  /** Consumed in all. */
  #takenBytes = 0;
  #closed = false;
  #epochStartMs: number;
  #epochTakenBytes = 0;
  /** The rate of consumption: the best while it rises, an average over some epochs after that. */
  #bytesPerMs = 0;
  /** For how many epochs the rate has not risen by a quarter. */
  #flatEpochs = 0;

  /** `windowBytes` is reserved in `budget` already, and the sender knows of it. */
  constructor(budget: Budget, windowBytes: number, nowMs: number) {
    this.#budget = budget;
    this.#windowBytes = windowBytes;
    this.#grantedBytes = windowBytes;
    this.#epochStartMs = nowMs;
  }

  get windowBytes(): number {
    return this.#windowBytes;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get grantedBytes(): number {
    return this.#grantedBytes;
  }

  /** Bytes arrived. False when the sender had no credit for them: its fault. */
  receive(bytes: number): boolean {
    if (bytes > this.#grantedBytes) return false;
    this.#grantedBytes -= bytes;
    this.#bufferedBytes += bytes;
    return true;
  }

  /** The reader consumed bytes. Returns the credit to give the sender now; 0 when it is not yet worth a frame. */
  consume(bytes: number, nowMs: number, rttMs: number): number {
    this.#bufferedBytes -= bytes;
    assert(this.#bufferedBytes >= 0, "a reader consumes only what has arrived");
    if (this.#closed) {
      this.#budget.release(bytes);
      return 0;
    }
    this.#resize(bytes, nowMs, Math.max(rttMs, MIN_RTT_MS));
    if (this.#goalBytes < this.#windowBytes) this.#shrink(this.#goalBytes);
    // An eighth, not a half: what is held back is lost to the sender, and a window of which the sender sees only the half
    // consumes only the half a round trip, so that it would hardly grow.
    const missing = this.#windowBytes - this.#grantedBytes - this.#bufferedBytes;
    if (missing * CREDIT_SHARE < this.#windowBytes) return 0;
    this.#grantedBytes += missing;
    return missing;
  }

  /**
   * Once an epoch the window becomes a multiple of what is consumed in a round trip: of three while the rate still
   * rises from epoch to epoch, because a reader held up by its window shows only what that let through; of less than two
   * when it does not, which keeps the sender busy and what waits on the path short.
   * An epoch is a round trip while memory is plentiful; else it is long enough to tell readers from those that only
   * fill the buffers on their way.
   */
  #resize(bytes: number, nowMs: number, rttMs: number): void {
    this.#takenBytes += bytes;
    this.#epochTakenBytes += bytes;
    const elapsedMs = nowMs - this.#epochStartMs;
    const epochMs = this.#budget.plentiful ? rttMs : Math.max(rttMs, STEADY_READER_MS);
    if (elapsedMs < epochMs) return;
    const bytesPerMs = this.#epochTakenBytes / elapsedMs;
    this.#epochStartMs = nowMs;
    this.#epochTakenBytes = 0;
    this.#flatEpochs = bytesPerMs >= 1.25 * this.#bytesPerMs ? 0 : this.#flatEpochs + 1;
    const rising = this.#flatEpochs < FLAT_EPOCHS;
    // Whole messages make an epoch's rate jump: it counts at once while it rises, and as an average when it does not.
    if (rising) this.#bytesPerMs = Math.max(bytesPerMs, this.#bytesPerMs);
    else this.#bytesPerMs += (bytesPerMs - this.#bytesPerMs) / 4;
    const gain = rising ? RISING_GAIN : STEADY_GAIN;
    // And a frame: on a slow line the one that is being read is much of what is under way.
    const underWay = this.#bytesPerMs * rttMs;
    const target = Math.ceil(gain * underWay + Math.min(underWay / 4, SHARED_DATA_BYTES));
    if (target > this.#windowBytes) {
      this.#goalBytes = Number.POSITIVE_INFINITY;
      this.#windowBytes += this.#budget.grow(this.#windowBytes, target, this.#reader(elapsedMs));
    } else if (!rising && 1.25 * target < this.#windowBytes) {
      const least = this.#budget.scarce ? BUSY_WINDOW_BYTES : INITIAL_WINDOW_BYTES;
      this.#goalBytes = Math.max(target, least);
    }
  }

  /** What is known of the reader after an epoch of `elapsedMs`. */
  #reader(elapsedMs: number): Reader {
    if (this.#takenBytes >= PROVEN_READER_BYTES) return "proven";
    return elapsedMs >= STEADY_READER_MS ? "steady" : "new";
  }

  /** Gives up what of the window is neither granted nor buffered, down to `floorBytes`. */
  #shrink(floorBytes: number): void {
    const least = Math.max(floorBytes, this.#grantedBytes + this.#bufferedBytes);
    const surplus = this.#windowBytes - least;
    if (surplus <= 0) return;
    this.#windowBytes -= surplus;
    this.#budget.release(surplus);
  }

  /** The body has ended: no more will arrive, and the budget keeps only what is still to be consumed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#budget.release(this.#windowBytes - this.#bufferedBytes);
    this.#grantedBytes = 0;
    this.#windowBytes = 0;
  }

  /** The body was cancelled: what has arrived is dropped, and nothing is reserved for it any more. */
  discard(): void {
    this.close();
    this.#budget.release(this.#bufferedBytes);
    this.#bufferedBytes = 0;
  }
}
