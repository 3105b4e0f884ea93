/** A clock that goes when it is told to, and timers that go by it. */
export class Clock {
  #nowMs: number;
  readonly #timers = new Set<{ readonly atMs: number; readonly due: () => void }>();

  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  readonly now = (): number => this.#nowMs;

  readonly after = (ms: number, due: () => void): (() => void) => {
    const timer = { atMs: this.#nowMs + ms, due };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  /** What the clock shows is not what has passed. */
  setBack(ms: number): void {
    this.#nowMs -= ms;
    const timers = [...this.#timers];
    this.#timers.clear();
    for (const { atMs, due } of timers) this.#timers.add({ atMs: atMs - ms, due });
  }

  /** Lets time pass, and what is due in it happen in its order. */
  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers]
        .filter(({ atMs }) => atMs <= endMs)
        .sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.due();
    }
    this.#nowMs = endMs;
  }
}
