/**
 * What moved against an earlier run, and what only seems to have: a move within the noise of either run is called noise.
 */
import type { Result } from "./result.ts";
import { align, type Cells, number } from "./report.ts";

/** A median of a few rounds moves by about this many spreads by itself. */
const NOISE_SPREADS = 3;

/** Nothing measured on a shared machine is better known than this. */
const LEAST_NOISE = 0.03;

/** What a single round may be off by: it says nothing of its noise itself. */
const NOISE_OF_ONE = 0.25;

interface Move {
  readonly cells: Cells;
  readonly real: boolean;
}

export function comparison(before: Result, now: Result): string {
  const moves: Move[] = [];
  let quiet = 0;
  for (const row of now.rows) {
    const old = before.rows.find(
      (one) => one.subject === row.subject && one.name === row.name && one.system === row.system,
    );
    for (const [name, figure] of Object.entries(row.figures)) {
      const was = old?.figures[name];
      if (was === undefined || was.median === 0) continue;
      const change = figure.median / was.median - 1;
      const noise = Math.max(
        LEAST_NOISE,
        figure.samples.length === 1 || was.samples.length === 1 ? NOISE_OF_ONE : 0,
        (NOISE_SPREADS * Math.max(figure.spread, was.spread)) / Math.abs(was.median),
      );
      if (Math.abs(change) < LEAST_NOISE) {
        quiet++;
        continue;
      }
      const better = change > 0 === (figure.better === "more");
      const real = Math.abs(change) > noise;
      moves.push({
        real,
        cells: [
          `${row.subject} · ${row.name} · ${row.system}`,
          name,
          `${number(was.median)} → ${number(figure.median)} ${figure.unit}`,
          `${change > 0 ? "+" : "−"}${number(Math.abs(change) * 100)} %`,
          real ? (better ? "better" : "WORSE") : `noise (±${number(noise * 100)} %)`,
        ],
      });
    }
  }
  moves.sort((a, b) => Number(b.real) - Number(a.real));
  const unlike =
    before.quick === now.quick ? "" : " (one of the two is a quick run: its figures are not alike)";
  const head = `against ${before.commit} of ${before.at}${unlike}: ${moves.filter(({ real }) => real).length} moved, ${moves.filter(({ real }) => !real).length + quiet} did not`;
  return `${head}\n${align(
    moves.map(({ cells }) => cells),
    "  ",
  )}`;
}
