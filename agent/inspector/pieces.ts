/** A copy of bytes that come in pieces: one piece of memory, however small and many they are. */
export class Pieces {
  #memory = new Uint8Array(0);
  #used = 0;

  get length(): number {
    return this.#used;
  }

  /** Copies `bytes`; the caller's are left as they are, and may be used again. */
  add(bytes: Uint8Array): void {
    const length = this.#used + bytes.length;
    if (length > this.#memory.length) {
      // The first piece is often the only one: it gets no more than it needs.
      const grown = new Uint8Array(Math.max(length, 2 * this.#used));
      grown.set(this.read());
      this.#memory = grown;
    }
    this.#memory.set(bytes, this.#used);
    this.#used = length;
  }

  /** All of them. They change no more, but there may come others behind them. */
  read(): Uint8Array {
    return this.#memory.subarray(0, this.#used);
  }
}
