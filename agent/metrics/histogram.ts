/** How often something took how long: counts by fixed upper bounds, as Prometheus wants them. */
import { type Labels, type Sample, valueText } from "./exposition.ts";

/** Seconds, from what a local server needs to what a person still waits for. */
const BOUNDS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export class Histogram {
  /** How many were at most as long as the bound of the same place, and longer than the one before; the last has no bound. */
  readonly #counts = Array.from({ length: BOUNDS.length + 1 }, () => 0);
  #sum = 0;

  observe(seconds: number): void {
    const place = BOUNDS.findIndex((bound) => seconds <= bound);
    const at = place === -1 ? BOUNDS.length : place;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += seconds;
  }

  /** Its buckets hold what is in those before them too. */
  samples(labels: Labels): Sample[] {
    let count = 0;
    const buckets = this.#counts.map((each, place): Sample => {
      count += each;
      const le = valueText(BOUNDS[place] ?? Number.POSITIVE_INFINITY);
      return { suffix: "_bucket", labels: { ...labels, le }, value: count };
    });
    return [
      ...buckets,
      { suffix: "_sum", labels, value: this.#sum },
      { suffix: "_count", labels, value: count },
    ];
  }
}
