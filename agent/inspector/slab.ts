/**
 * Memory for many small copies: one allocation for a hundred of them.
 *
 * What is kept is forgotten about in the order in which it came, and with the last copy goes the slab. One that a copy of a
 * long stream keeps alive is small: nobody counts it.
 */

const SLAB_BYTES = 16 * 1024;

/** From here on a copy has its own memory. */
const OWN_BYTES = 2 * 1024;

export class Slab {
  #memory = new Uint8Array(0);
  #used = 0;

  /** A copy of `bytes`. */
  keep(bytes: Uint8Array): Uint8Array {
    if (bytes.length >= OWN_BYTES) return new Uint8Array(bytes);
    if (this.#used + bytes.length > this.#memory.length) {
      this.#memory = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const kept = this.#memory.subarray(this.#used, this.#used + bytes.length);
    kept.set(bytes);
    this.#used += bytes.length;
    return kept;
  }
}
