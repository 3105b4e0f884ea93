/**
 * A world in which nothing happens but by an event of its own: a clock that jumps from one to the next, one source of
 * chance, and what went wrong. Two runs of one seed are the same to the last byte.
 */
import { Random } from "./random.ts";

/** Something happened that must never happen. */
export class Violation extends Error {
  override readonly name = "Violation";
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  act: (() => void) | undefined;
}

const settled = Promise.resolve();

/** A run that does so much is taken for one that never ends. */
const MOST_EVENTS = 500_000;

export class World {
  readonly random: Random;
  /** Somebody falsified what an end relies on: what comes of that may be wrong, but still harms no memory. */
  deceived = false;
  /** Nothing is made worse any more: no new faults, and nobody is slow. */
  quiet = false;
  /** Called after each event, when all promises that it settled have been heard. */
  afterEach: () => void = () => {};
  /** Lines of a trace, if one is wanted. */
  readonly #trace: string[] | undefined;
  /** A binary heap: the next event is the first. */
  readonly #heap: Event[] = [];
  #nowMs = 0;
  #order = 0;
  #events = 0;
  #moves = 0;
  #fault: unknown;

  constructor(seed: number, trace?: string[]) {
    this.random = new Random(seed);
    this.#trace = trace;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get events(): number {
    return this.#events;
  }

  /** Whether there is something that only a trace would make worth saying. */
  get traced(): boolean {
    return this.#trace !== undefined;
  }

  note(line: string): void {
    this.#trace?.push(`${this.#nowMs.toFixed(1).padStart(9)} ${line}`);
  }

  /** Ends the run: the first fault is the one that counts. */
  fail(fault: unknown): void {
    this.#fault ??= fault;
  }

  violate(message: string): void {
    this.note(`VIOLATION ${message}`);
    this.fail(new Violation(message));
  }

  /** Something was lost or made up, for which somebody in between may be to blame. */
  lose(message: string): void {
    if (!this.deceived) this.violate(message);
  }

  /** Does `act` in `ms` milliseconds, unless the returned function is called before. */
  after(ms: number, act: () => void): () => void {
    const event: Event = { atMs: this.#nowMs + ms, order: this.#order++, act };
    this.#push(event);
    return () => {
      event.act = undefined;
    };
  }

  /** Wraps what runs when a promise settles: the world waits for it before it goes on, and hears of what it throws. */
  listening<T>(act: (value: T) => void): (value: T) => void {
    return (value) => {
      this.#moves++;
      try {
        act(value);
      } catch (error) {
        this.fail(error);
      }
    };
  }

  /** Lets the world run until `done`, or until `untilMs`. Returns whether it was done. @throws what was the first fault. */
  async run(untilMs: number, done: () => boolean): Promise<boolean> {
    while (!done()) {
      const event = this.#pop();
      if (event === undefined) return false;
      if (event.atMs > untilMs) {
        this.#push(event);
        this.#nowMs = untilMs;
        return false;
      }
      const { act } = event;
      if (act === undefined) continue;
      this.#nowMs = event.atMs;
      if (++this.#events > MOST_EVENTS) this.violate("the run never ends");
      try {
        act();
        // Who hears of a promise is called in the second turn of the microtasks at the latest, and may settle another.
        let moves: number;
        do {
          moves = this.#moves;
          await settled;
          await settled;
          await settled;
        } while (moves !== this.#moves);
        this.afterEach();
      } catch (error) {
        this.fail(error);
      }
      if (this.#fault !== undefined) throw this.#fault;
    }
    return true;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as Event;
      if (!isBefore(event, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Event, heap[below] as Event)) {
        below++;
      }
      const child = heap[below] as Event;
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
