/**
 * The one source of chance in a simulated world: everything that a run does follows from its seed. Never used for secrets.
 */

export class Random {
  #state: number;

  constructor(seed: number) {
    // Seeds that follow each other should not begin alike.
    this.#state = Math.imul(seed >>> 0, 0x9e3779b1) ^ Math.floor(seed / 2 ** 32);
    this.next();
  }

  /** From 0 to 1, without 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of `items`, of which there is at least one. */
  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)] as T;
  }

  /** From `least` to `most`, small ones far more often than large ones. */
  skewed(least: number, most: number): number {
    return Math.round(least * (most / least) ** this.next());
  }
}
