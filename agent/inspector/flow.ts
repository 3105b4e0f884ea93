/**
 * Throughput and window over the life of a stream, in a fixed number of steps: they get longer as the stream does.
 */
import type { Direction, Flow } from "./api.ts";

const STEPS = 120;
const FIRST_STEP_MS = 25;

/** What it takes. */
export const FLOW_BYTES = 4 * STEPS * 8;

export class FlowLog {
  #stepMs = FIRST_STEP_MS;
  /** The last step that anything was counted in. */
  #last = 0;
  readonly #in = new Float64Array(STEPS);
  readonly #out = new Float64Array(STEPS);
  readonly #credit = new Float64Array(STEPS).fill(-1);
  readonly #stalledMs = new Float64Array(STEPS);

  /** Bytes passed at `at`, with so much credit left. */
  add(at: number, direction: Direction, bytes: number, credit: number): void {
    const step = this.#stepOf(at);
    const counted = direction === "in" ? this.#in : this.#out;
    counted[step] = (counted[step] ?? 0) + bytes;
    this.#credit[step] = credit;
  }

  /** The origin was paused from `from` to `to`. */
  stalled(from: number, to: number): void {
    this.#stepOf(to);
    for (let at = from; at < to;) {
      const step = Math.floor(at / this.#stepMs);
      const until = Math.min(to, (step + 1) * this.#stepMs);
      this.#stalledMs[step] = (this.#stalledMs[step] ?? 0) + until - at;
      at = until;
    }
  }

  /** Up to `now`, when the stream goes on. */
  read(now?: number): Flow {
    if (now !== undefined) this.#stepOf(now);
    const steps = (of: Float64Array): number[] => Array.from(of.subarray(0, this.#last + 1));
    return {
      stepMs: this.#stepMs,
      in: steps(this.#in),
      out: steps(this.#out),
      credit: steps(this.#credit),
      stalledMs: steps(this.#stalledMs),
    };
  }

  #stepOf(at: number): number {
    while (at >= STEPS * this.#stepMs) this.#halve();
    const step = Math.floor(at / this.#stepMs);
    if (step > this.#last) this.#last = step;
    return step;
  }

  /** Two steps become one. */
  #halve(): void {
    this.#stepMs *= 2;
    this.#last = this.#last >> 1;
    for (const counted of [this.#in, this.#out, this.#stalledMs]) {
      for (let i = 0; i < STEPS / 2; i++) {
        counted[i] = (counted[2 * i] ?? 0) + (counted[2 * i + 1] ?? 0);
      }
      counted.fill(0, STEPS / 2);
    }
    for (let i = 0; i < STEPS / 2; i++) {
      const [first = -1, second = -1] = this.#credit.subarray(2 * i, 2 * i + 2);
      this.#credit[i] = second < 0 ? first : second;
    }
    this.#credit.fill(-1, STEPS / 2);
  }
}
