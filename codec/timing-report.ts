/**
 * What an agent tells the edge of the time that a request took with it, when it is asked: one field of the answer's head.
 */

/** With the value 1 in a request, whoever asks; in an answer the agent's report. It never leaves the tunnel. */
export const TIMING = "sluice-timing";

/** Milliseconds of one request at the agent. */
export interface TimingReport {
  /** Until one of its `--concurrency` places was free. */
  readonly slotMs: number;
  /** From then until the head of the origin's answer. */
  readonly originMs: number;
}

const report = /^slot;dur=(\d{1,9}(?:\.\d{1,3})?), origin;dur=(\d{1,9}(?:\.\d{1,3})?)$/;

export function writeTimingReport({ slotMs, originMs }: TimingReport): string {
  return `slot;dur=${rounded(slotMs)}, origin;dur=${rounded(originMs)}`;
}

/** Undefined for anything that is no report. */
export function readTimingReport(text: string | undefined): TimingReport | undefined {
  const [, slot, origin] = report.exec(text ?? "") ?? [];
  return slot === undefined ? undefined : { slotMs: Number(slot), originMs: Number(origin) };
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
