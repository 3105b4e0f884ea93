/**
 * What an object holds of its visitors' WebSocket messages, both ways, and who has to wait or to go when that is too much.
 *
 * The runtime reads a visitor as fast as it sends, whatever we do: what its origin has not read yet piles up here. And it
 * queues without bound what a visitor does not read. Neither shows in a session's accounts, so both are counted here.
 */
const KiB = 1024;
const MiB = 1024 * KiB;

/** What one visitor's origin may leave unread: with one message more the visitor is sent away. A single message may be larger. */
export const MAX_UNREAD_BYTES = 4 * MiB;

/** What may be unread of all visitors: beyond it the one with most is sent away. An object has 128 MB. */
export const MAX_ALL_UNREAD_BYTES = 16 * MiB;

/** What the runtime may hold for one visitor that does not read, beside the last message. */
export const MAX_UNSENT_BYTES = 1 * MiB;

/** And for all visitors: beyond it a visitor waits that has any more than its least. */
export const MAX_ALL_UNSENT_BYTES = 16 * MiB;

/** What nobody is asked for: two thousand visitors with so much each are within what an object has. */
export const LEAST_BYTES = 16 * KiB;

/** One visitor. */
export interface Holder {
  /** Bytes for the origin that it has given no credit for. */
  readonly unreadBytes: number;
  /** Bytes for the visitor that the runtime has not passed to the network. */
  readonly unsentBytes: number;
  /** Ends the connection, and with it what is unread. */
  sendAway(): void;
}

export class SocketMemory {
  readonly #holders = new Set<Holder>();

  join(holder: Holder): void {
    this.#holders.add(holder);
  }

  leave(holder: Holder): void {
    this.#holders.delete(holder);
  }

  /** A message of `bytes` from this visitor is here: sends away who holds too much, which may be the visitor itself. */
  makeRoom(holder: Holder, bytes: number): void {
    const { unreadBytes } = holder;
    if (unreadBytes + bytes <= LEAST_BYTES) return;
    if (unreadBytes > MAX_UNREAD_BYTES) {
      holder.sendAway();
      return;
    }
    let most = holder;
    let all = 0;
    for (const each of this.#holders) {
      all += each.unreadBytes;
      if (each.unreadBytes > most.unreadBytes) most = each;
    }
    if (all > MAX_ALL_UNREAD_BYTES) most.sendAway();
  }

  /** Whether this visitor has taken enough of what was sent to it to be sent more. */
  maySend(holder: Holder): boolean {
    const { unsentBytes } = holder;
    if (unsentBytes <= LEAST_BYTES) return true;
    if (unsentBytes > MAX_UNSENT_BYTES) return false;
    let all = 0;
    for (const each of this.#holders) all += each.unsentBytes;
    return all <= MAX_ALL_UNSENT_BYTES;
  }
}
