/**
 * Memory for large messages, used again when the edge has acknowledged them. Without it a bulk download spends a fifth of the
 * agent's time on collecting buffers and on pages that are touched for the first time.
 */
import { MAX_HEAD_BYTES, MESSAGE_TARGET_BYTES } from "../../codec/limits.ts";

/** A message ends with the frame that passes the target; one frame, or DATA cut by a sender, is no larger than a head. */
const SLAB_BYTES = MESSAGE_TARGET_BYTES + 2 * MAX_HEAD_BYTES;

/** Below this a buffer of its own size is better: most messages are small answers, and what is kept until it is acknowledged should not be mostly air. */
const LARGE_BYTES = 128 * 1024;

/** What is kept for reuse: 24 MiB, more than is unacknowledged on any fast path. */
const MOST_FREE = 64;

/** What is kept when nothing large was sent for a while. */
const IDLE_FREE = 4;
const IDLE_MS = 2000;

export class MessagePool {
  readonly #free: ArrayBuffer[] = [];
  readonly #lent = new Set<ArrayBufferLike>();
  #idle: NodeJS.Timeout | undefined;

  /** Memory of its own for a message of `bytes`, whose contents do not matter. */
  take(bytes: number): Uint8Array {
    if (bytes < LARGE_BYTES || bytes > SLAB_BYTES) return Buffer.allocUnsafeSlow(bytes);
    const slab = this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES).buffer;
    this.#lent.add(slab);
    return Buffer.from(slab, 0, bytes);
  }

  /** Nobody looks at the message any more. One that came from elsewhere is left alone. */
  give({ buffer }: Uint8Array): void {
    if (!this.#lent.delete(buffer) || this.#free.length >= MOST_FREE) return;
    this.#free.push(buffer as ArrayBuffer);
    if (this.#idle === undefined) this.#idle = setTimeout(() => this.#trim(), IDLE_MS).unref();
    else this.#idle.refresh();
  }

  #trim(): void {
    this.#free.length = Math.min(this.#free.length, IDLE_FREE);
  }
}
