/**
 * What the kernel needs of the world: a platform for its whole life, and a transport for as long as a WebSocket lasts.
 * The shells implement both.
 */

/** Time and memory. */
export interface Platform {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Calls `flush` once, soon: what becomes ready until then shares messages. */
  schedule(flush: () => void): void;
  /** Calls `due` once, after `ms` milliseconds, unless the returned function was called before. */
  after(ms: number, due: () => void): () => void;
  /** A buffer of its own whose contents do not matter. */
  allocate(bytes: number): Uint8Array;
  /** A message has arrived at the peer, or will never be sent again: its memory may be used for another. */
  release(message: Uint8Array): void;
}

/** One WebSocket. */
export interface Transport {
  /** Sends one binary message. The transport must not change it: it may be sent again on another. Never throws. */
  send(message: Uint8Array): void;
  /** True while the transport would rather not take more; the shell calls `session.flush()` when that ends. */
  readonly full: boolean;
  /** Ends the WebSocket. `code` is 1000, 1001 or 4000 + wire number, `reason` at most 123 bytes. Idempotent, never throws. */
  close(code: number, reason: string): void;
}
