/** Rows and results made up for tests. */
import { median, spread } from "../../bench/measure.ts";
import type { Result } from "../../bench/result.ts";
import type { Figure, Kind, Row, Subject } from "../../bench/row.ts";

export function figure(samples: readonly number[], better: "more" | "less" = "more"): Figure {
  return { unit: "u", better, median: median(samples), spread: spread(samples), samples };
}

/** A row with figures as they are, or of one round each. */
export function row(
  subject: Subject,
  name: string,
  system: string,
  figures: Readonly<Record<string, Figure | number>>,
  more: Partial<Row> = {},
): Row {
  const made = Object.entries(figures).map(
    ([key, value]) => [key, typeof value === "number" ? figure([value]) : value] as const,
  );
  const kind: Kind = system === "sluice" ? "ours" : "peer";
  return { subject, name, system, kind, figures: Object.fromEntries(made), ...more };
}

export function resultOf(rows: readonly Row[], more: Partial<Result> = {}): Result {
  return {
    at: "2026-11-24T00:00:00.000Z",
    commit: "0123abc",
    quick: false,
    machine: {
      processor: "a processor",
      cores: 2,
      memoryGiB: 8,
      system: "Linux 6",
      node: "24.0.0",
      workerd: "1.0.0",
      loadBefore: 0,
    },
    rows,
    series: [],
    skipped: [],
    verdicts: [],
    cost: [],
    ...more,
  };
}
