/**
 * What a run fails for: rows of ours or of a floor that are missing or wrong, and memory beyond its bound. Never speed.
 */
import { SSH } from "./peers/ssh.ts";
import type { Row } from "./row.ts";
import type { Verdict } from "./targets.ts";

/** The faults in words. `whole`: everything was to be measured, so that no target may be without a value. */
export function faultsOf(
  rows: readonly Row[],
  verdicts: readonly Verdict[],
  whole: boolean,
): string[] {
  if (rows.length === 0) return ["no row is called that: --list says what there is"];
  const failed = rows
    .filter(({ kind }) => kind !== "peer")
    .filter(({ fault, figures }) => fault !== undefined || Object.keys(figures).length === 0)
    .map((row) => `${row.subject} · ${row.name} · ${row.system}: ${row.fault ?? "no figures"}`);
  // What is held against a peer needs one, and a peer may be missing.
  const missing = verdicts
    .filter(({ target, value }) => whole && value === undefined && !target.includes(SSH))
    .map(({ target }) => `${target}: not measured`);
  const bounds = verdicts
    .filter(({ unit, met }) => unit === "MiB" && met === false)
    .map(({ target, value, limit }) => `${target} ${value?.toFixed(1)} MiB, at most ${limit}`);
  return [...failed, ...missing, ...bounds];
}
