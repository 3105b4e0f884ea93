/**
 * What the benchmark produces: rows of figures. Nothing here measures or prints.
 *
 * A row is one thing done by one system; a figure is one number about it, with what its rounds said.
 */

/** What a row belongs to; each has a file of its own. */
export const subjects = ["codec", "mux", "tunnel", "messages", "memory", "path", "shards"] as const;
/** What is measured only when it is asked for, and has no part in the published figures. */
export const extras = ["inspector"] as const;
export type Subject = (typeof subjects)[number] | (typeof extras)[number];

/** Ours, what nothing could beat in the same place, or somebody else's. */
export type Kind = "ours" | "floor" | "peer";

export interface Figure {
  readonly unit: string;
  /** Which way is good. */
  readonly better: "more" | "less";
  readonly median: number;
  /** Half of the range that holds the middle half of the samples: the noise of one round. */
  readonly spread: number;
  readonly samples: readonly number[];
}

export interface Row {
  readonly subject: Subject;
  /** What was done, e.g. "small c=64". */
  readonly name: string;
  readonly system: string;
  readonly kind: Kind;
  readonly figures: Readonly<Record<string, Figure>>;
  /** Measurements that were repeated because the kernel had held them up: see `kernel.ts`. */
  readonly repeated?: number;
  /** Why there are no figures, or fewer rounds than planned. */
  readonly fault?: string;
}

/** A line of a plot: pairs of x and y. */
export interface Series {
  readonly plot: string;
  readonly system: string;
  readonly kind: Kind;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** The figure of a row, looked up by where it was measured. */
export function figureOf(
  rows: readonly Row[],
  subject: Subject,
  name: string,
  system: string,
  figure: string,
): number | undefined {
  return rows.find((row) => row.subject === subject && row.name === name && row.system === system)
    ?.figures[figure]?.median;
}
