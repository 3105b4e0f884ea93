/** For how long something was going on, added up over all that were going on at once, those that still are among them. */
export class Occupancy {
  readonly #now: () => number;
  #count = 0;
  #totalMs = 0;
  #lastMs = 0;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number) {
    this.#now = now;
  }

  enter(): void {
    this.#settle();
    this.#count++;
  }

  leave(): void {
    this.#settle();
    this.#count--;
  }

  /** Up to this moment. */
  get seconds(): number {
    this.#settle();
    return this.#totalMs / 1000;
  }

  #settle(): void {
    const now = this.#now();
    this.#totalMs += this.#count * (now - this.#lastMs);
    this.#lastMs = now;
  }
}
