/**
 * How things are measured side by side: rounds, each of which measures everything once, in an order that turns round
 * every time, so that a slow minute of the machine falls on all alike; then medians.
 */
import type { Figure } from "./row.ts";

/** One measurement of one thing: its figures by name. */
export type Sample = Readonly<Record<string, number>>;

/** What a figure is called, its unit, and which way is good. */
export type Units = Readonly<Record<string, readonly [unit: string, better: "more" | "less"]>>;

/** What came of one thing over all rounds. */
export interface Outcome {
  readonly samples: Sample[];
  /** The first failure; the thing is left out of the rounds after it. */
  fault: string | undefined;
}

/**
 * Measures each of `things` once a round, for as many rounds as it gets. One that fails is not asked again: its fault stands for it.
 * `before` is told what comes next, for the progress line.
 */
export async function interleave<T>(
  things: readonly T[],
  roundsOf: (thing: T) => number,
  measure: (thing: T, round: number) => Promise<Sample> | Sample,
  before: (thing: T, round: number) => void = () => {},
): Promise<Map<T, Outcome>> {
  const outcomes = new Map<T, Outcome>(
    things.map((thing) => [thing, { samples: [], fault: undefined }]),
  );
  const rounds = Math.max(0, ...things.map(roundsOf));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? things : things.toReversed();
    for (const thing of order) {
      if (round >= roundsOf(thing)) continue;
      const outcome = outcomes.get(thing);
      if (outcome === undefined || outcome.fault !== undefined) continue;
      before(thing, round);
      try {
        outcome.samples.push(await measure(thing, round));
      } catch (error) {
        outcome.fault = error instanceof Error ? error.message : String(error);
      }
    }
  }
  return outcomes;
}

/** The figures of several samples. A name that a sample lacks has no value in that round. */
export function figuresOf(samples: readonly Sample[], units: Units): Record<string, Figure> {
  const figures: Record<string, Figure> = {};
  for (const [name, [unit, better]] of Object.entries(units)) {
    const values = samples.flatMap((sample) => sample[name] ?? []).filter(Number.isFinite);
    if (values.length === 0) continue;
    figures[name] = {
      unit,
      better,
      median: median(values),
      spread: spread(values),
      samples: values,
    };
  }
  return figures;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Half of the interquartile range; 0 for a single value. */
export function spread(values: readonly number[]): number {
  return (quantile(values, 0.75) - quantile(values, 0.25)) / 2;
}

/** The value below which `part` of all values lie, between neighbours in proportion. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** Waits; for pauses between measurements, never for something to have happened. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
