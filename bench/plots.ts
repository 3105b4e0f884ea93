/**
 * The charts that the READMEs show, from a result.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { lineChart, rangeChart } from "./plot.ts";
import type { Series } from "./row.ts";
import type { Result } from "./result.ts";
import { BESIDE_DOWNLOADS } from "./tunnel.ts";

/** Writes `throughput.svg`, `memory.svg`, `latency.svg` and `beside.svg`, as far as there is something to show. */
export async function writePlots(directory: string, result: Result): Promise<void> {
  const of = (plot: string): Series[] => result.series.filter((one) => one.plot === plot);
  const beside = besideSeries(result);
  const charts: [string, readonly Series[], (series: readonly Series[]) => string][] = [
    [
      "throughput",
      of("throughput"),
      (series) =>
        lineChart(
          "One download, by round trip between agent and edge",
          { label: "round trip, ms", log: true },
          { label: "MB/s", log: true },
          series,
        ),
    ],
    [
      "memory",
      of("memory"),
      (series) =>
        lineChart(
          "Memory while a visitor does not read its 1 GiB",
          { label: "seconds since it stopped", log: false },
          { label: "MiB grown, edge and agent together", log: true, least: 1 },
          series,
        ),
    ],
    [
      "latency",
      of("latency"),
      (series) =>
        lineChart(
          "Small requests: the slowest hundredth (p99)",
          { label: "requests at once", log: true },
          { label: "ms", log: true },
          series,
        ),
    ],
    [
      "beside",
      beside,
      (series) =>
        rangeChart(
          "One small request at a time, beside two saturating downloads",
          { label: "ms: ○ idle p50, ● p50 and | p99 beside the downloads", log: true },
          series,
        ),
    ],
  ];
  for (const [name, series, draw] of charts) {
    if (series.length > 0) await writeFile(join(directory, `${name}.svg`), draw(series));
  }
}

function besideSeries({ rows }: Result): Series[] {
  return rows
    .filter((row) => row.name === BESIDE_DOWNLOADS && Object.keys(row.figures).length > 0)
    .map(({ system, kind, figures }) => ({
      plot: "beside",
      system,
      kind,
      points: ["idleP50Ms", "p50Ms", "p99Ms"].map(
        (name, shape) => [shape, figures[name]?.median ?? Number.NaN] as const,
      ),
    }));
}
