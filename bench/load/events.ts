/**
 * An event stream, and how long each event was on its way: the origin stamps it with the machine's monotonic clock.
 */
import { createHistogram } from "node:perf_hooks";
import type { Job, JobResult } from "./job.ts";
import { requestHead, visit } from "./visit.ts";

export async function runEvents(job: Job & { kind: "events" }): Promise<JobResult> {
  const latencies = createHistogram({ lowest: 1, highest: 600e9, figures: 3 });
  let text = "";
  let count = 0;
  const onBody = (piece: Buffer): void => {
    const now = process.hrtime.bigint();
    text += piece.toString("latin1");
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const sent = /^data: (\d+)$/.exec(text.slice(0, end))?.[1];
      if (sent === undefined) throw new Error(`an event is ${JSON.stringify(text.slice(0, end))}`);
      latencies.record(Math.max(1, Number(now - BigInt(sent))));
      count++;
      text = text.slice(end + 2);
    }
  };
  const deadline = AbortSignal.timeout(job.everyMs * job.count * 3 + 10_000);
  const head = requestHead(job.target, `/events/${job.everyMs}/${job.count}`);
  await visit(job.target, head, onBody, deadline);
  if (count !== job.count) throw new Error(`${count} of ${job.count} events arrived`);
  return {
    p50Ms: latencies.percentile(50) / 1e6,
    p99Ms: latencies.percentile(99) / 1e6,
    maxMs: latencies.max / 1e6,
  };
}
