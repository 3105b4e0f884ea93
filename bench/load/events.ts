/**
 * An event stream, and how long each event was on its way: the origin stamps it with the machine's monotonic clock.
 */
import { createHistogram } from "node:perf_hooks";
import type { Job, JobResult, Target } from "./job.ts";
import { requestHead, visit } from "./visit.ts";

export async function runEvents(job: Job & { kind: "events" }): Promise<JobResult> {
  const latencies = createHistogram({ lowest: 1, highest: 600e9, figures: 3 });
  await readEvents(job.target, job.everyMs, job.count, (ns) => latencies.record(ns));
  return {
    p50Ms: latencies.percentile(50) / 1e6,
    p99Ms: latencies.percentile(99) / 1e6,
    maxMs: latencies.max / 1e6,
  };
}

/** Reads one stream to its end; `arrived` is told how many ns each event was on its way, 1 at least. @throws Error when one is missing. */
export async function readEvents(
  target: Target,
  everyMs: number,
  count: number,
  arrived: (ns: number) => void,
): Promise<void> {
  let text = "";
  let seen = 0;
  const onBody = (piece: Buffer): void => {
    const now = process.hrtime.bigint();
    text += piece.toString("latin1");
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const sent = /^data: (\d+)$/.exec(text.slice(0, end))?.[1];
      if (sent === undefined) throw new Error(`an event is ${JSON.stringify(text.slice(0, end))}`);
      arrived(Math.max(1, Number(now - BigInt(sent))));
      seen++;
      text = text.slice(end + 2);
    }
  };
  const deadline = AbortSignal.timeout(everyMs * count * 3 + 10_000);
  await visit(target, requestHead(target, `/events/${everyMs}/${count}`), onBody, deadline);
  if (seen !== count) throw new Error(`${seen} of ${count} events arrived`);
}
