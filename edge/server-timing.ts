/**
 * What took how long until the answer began, as the visitor's `Server-Timing` (W3C Server Timing): only for requests that
 * ask for it with `sluice-timing: 1`.
 *
 * The agent is asked in the same way, and says what only it can know in its answer's `sluice-timing`.
 */
import type { ResponseHead } from "../codec/frame.ts";
import { headerValue } from "../codec/headers.ts";
import { readTimingReport, TIMING } from "../codec/timing-report.ts";

/** What the edge has measured, in milliseconds. */
export interface Measured {
  /** From the request's arrival until an agent had it. */
  readonly queueMs: number;
  /** From then on until the head of the answer was here. */
  readonly awayMs: number;
  /** For how long the request's body could not go on, because the agent took no more of it. */
  readonly stalledMs: number;
}

/**
 * The field's value. `queue`, `slot`, `tunnel` and `origin` follow each other and add up to the wait for the head;
 * `stalled` lies within them. An agent that reports nothing leaves `tunnel`, with the origin in it.
 */
export function serverTiming({ queueMs, awayMs, stalledMs }: Measured, head: ResponseHead): string {
  const report = readTimingReport(headerValue(head.headers, TIMING));
  const metrics = [metric("queue", queueMs)];
  if (report === undefined) metrics.push(`${metric("tunnel", awayMs)};desc="with the origin"`);
  else {
    const { slotMs, originMs } = report;
    // Two clocks: a tenth of a millisecond may be missing.
    const tunnelMs = Math.max(0, awayMs - slotMs - originMs);
    metrics.push(metric("slot", slotMs), metric("tunnel", tunnelMs), metric("origin", originMs));
  }
  metrics.push(metric("stalled", stalledMs));
  return metrics.join(", ");
}

function metric(name: string, ms: number): string {
  return `${name};dur=${Math.round(ms * 10) / 10}`;
}
