/**
 * Whose turn it is to send: deficit round-robin by bytes, with a queue of its own for streams that have just become
 * ready (RFC 8290 calls them sparse flows). A small answer beside a bulk transfer therefore waits for one turn of
 * 16 KiB at most; the queues alternate, so that ever new streams cannot starve the old ones either.
 */
import { ALONE_DATA_BYTES, SHARED_DATA_BYTES } from "./limits.ts";
import { Queue } from "./queue.ts";

export interface Ready {
  /** Whether a turn would send something. */
  readonly sendable: boolean;
  /** Kept by Turns: whether this one is in a queue or has the turn. */
  scheduled: boolean;
}

export class Turns<T extends Ready> {
  #fresh = new Queue<T>();
  #waiting = new Queue<T>();
  #current: T | undefined;
  #leftBytes = 0;
  #freshIsNext = true;

  /** Lines up `member` if it is not in line already. */
  add(member: T): void {
    if (member.scheduled) return;
    member.scheduled = true;
    this.#fresh.push(member);
  }

  /** Who sends next, or undefined when nobody has anything to send. */
  current(): T | undefined {
    for (;;) {
      const member = this.#current ?? this.#nextInLine();
      if (member === undefined) return undefined;
      if (member.sendable && this.#leftBytes > 0) return member;
      this.#current = undefined;
      if (member.sendable) this.#waiting.push(member);
      else member.scheduled = false;
    }
  }

  /** How many bytes the current one may send in one frame: a turn, or more when it is alone. */
  get frameBytes(): number {
    const alone = this.#fresh.length === 0 && this.#waiting.length === 0;
    return alone ? ALONE_DATA_BYTES : Math.min(this.#leftBytes, SHARED_DATA_BYTES);
  }

  /** The current one has sent `bytes`. */
  sent(bytes: number): void {
    this.#leftBytes -= bytes;
  }

  /** A fresh one, unless one that waits was passed over for a fresh one the last time. */
  #nextInLine(): T | undefined {
    const waits = this.#waiting.length > 0;
    const fresh = this.#freshIsNext || !waits ? this.#fresh.shift() : undefined;
    this.#freshIsNext = fresh === undefined || !waits;
    this.#current = fresh ?? this.#waiting.shift();
    this.#leftBytes = SHARED_DATA_BYTES;
    return this.#current;
  }
}
