/**
 * What makes messages reliable over successive sockets: both directions of a session counted message by message, and
 * those that the peer has not acknowledged kept, to be sent again.
 *
 * It knows neither frames nor sockets. Messages that hold nothing but a HELLO or an ACK are not its business: they
 * speak of counters and have no number themselves.
 */
import type { Budget } from "./budget.ts";
import {
  ACK_RIDES_BYTES,
  ACK_RIDES_MESSAGES,
  LEAST_RETAINED_BYTES,
  RETAINED_MESSAGE_BYTES,
} from "./limits.ts";
import { Queue } from "./queue.ts";

export interface LinkOptions {
  /** The most bytes to keep for this session. */
  readonly retainBytes: number;
  /** Keeps the account of the memory. */
  readonly budget: Budget;
  /** A message needs to be kept no longer. */
  readonly release: (message: Uint8Array) => void;
}

export class Link {
  readonly #options: LinkOptions;
  /** Sent and not acknowledged, in order. */
  readonly #retained = new Queue<Uint8Array>();
  #retainedBytes = 0;
  #asked = false;
  #sent = 0;
  /** The latest message that the peer must get even when no stream is left here. */
  #owed = 0;
  #received = 0;
  /** What of `received` the peer was told. */
  #announced = 0;
  /** Bytes received since then. */
  #silentBytes = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** How many messages of the peer have arrived. */
  get received(): number {
    return this.#received;
  }

  /** Whether nothing is known of the peer yet: for all it says, it has never heard of this session. */
  get untouched(): boolean {
    return this.#received === 0 && this.#sent === this.#retained.length;
  }

  /** What is kept: the memory of messages, each with what keeping it costs. */
  get retainedBytes(): number {
    return this.#retainedBytes;
  }

  /** Whether the peer may lack something that it still needs. */
  get owes(): boolean {
    return this.#owed > this.#sent - this.#retained.length;
  }

  /** Whether so much is unacknowledged that nothing more should be sent. */
  get full(): boolean {
    return this.#retainedBytes >= this.#mostBytes;
  }

  /** Whether it is time to ask the peer for an ACK: half of what may be kept is, and the peer was not asked since it gave one. */
  get wantsAck(): boolean {
    return !this.#asked && this.#retainedBytes * 2 >= this.#mostBytes;
  }

  /** The peer was asked for an ACK. */
  asked(): void {
    this.#asked = true;
  }

  /** What is scarce in memory is given in small parts. */
  get #mostBytes(): number {
    const { retainBytes, budget } = this.#options;
    return budget.exhausted ? Math.min(LEAST_RETAINED_BYTES, retainBytes) : retainBytes;
  }

  /**
   * A message goes out: it is kept until the peer has it.
   * @param owed whether the peer may still need it when all streams are over here
   */
  keep(message: Uint8Array, owed: boolean): void {
    this.#sent++;
    if (owed) this.#owed = this.#sent;
    this.#retained.push(message);
    this.#account(costOf(message));
  }

  /** Whether a peer that comes back can have received `received` messages: no fewer than it has acknowledged, no more than were sent. */
  accepts(received: number): boolean {
    return received <= this.#sent && received >= this.#sent - this.#retained.length;
  }

  /**
   * The peer says that it has received `received` messages. What it said before may arrive once more, in a message that
   * is sent again, and changes nothing. False: so many were never sent.
   */
  acknowledge(received: number): boolean {
    if (received > this.#sent) return false;
    for (let left = this.#sent - this.#retained.length; left < received; left++) {
      const message = this.#retained.shift();
      if (message === undefined) break;
      // One that says nothing new leaves the question open: it is kept, and will be sent again.
      this.#asked = false;
      this.#account(-costOf(message));
      this.#options.release(message);
    }
    return true;
  }

  /** What a new transport has to carry again, in order. */
  unacknowledged(): Iterable<Uint8Array> {
    return this.#retained;
  }

  /** The session is over: nothing will be sent again. The memory is not released: a transport may still be at it. */
  clear(): void {
    this.#account(-this.#retainedBytes);
    this.#retained.clear();
  }

  /** A message of the peer has arrived and was worked through. */
  receive(bytes: number): void {
    this.#received++;
    this.#silentBytes += bytes;
  }

  /** Whether an ACK should go with a message that goes anyway. */
  get ackRides(): boolean {
    return (
      this.#silentBytes >= ACK_RIDES_BYTES || this.#received - this.#announced >= ACK_RIDES_MESSAGES
    );
  }

  /** Whether the peer was not told of all that was received. */
  get owesAck(): boolean {
    return this.#received > this.#announced;
  }

  /** What to tell the peer that was received; it counts as told. */
  announce(): number {
    this.#announced = this.#received;
    this.#silentBytes = 0;
    return this.#received;
  }

  #account(bytes: number): void {
    this.#retainedBytes += bytes;
    this.#options.budget.retain(bytes);
  }
}

function costOf(message: Uint8Array): number {
  return message.length + RETAINED_MESSAGE_BYTES;
}
