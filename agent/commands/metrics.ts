/** Metrics beside an agent: told at their address when they are wanted, with a place for each service. */
import { isLoopback } from "../config/loopback.ts";
import type { GivenValues } from "../config/given.ts";
import { metricsConfig } from "../config/metrics.ts";
import type { AgentEvent } from "../events.ts";
import type { Collector } from "../metrics/collector.ts";

/** Undefined when nobody wants them. @throws UsageError */
export async function startMetrics(
  given: GivenValues,
  report: (event: AgentEvent) => void,
): Promise<Collector | undefined> {
  const address = metricsConfig(given);
  if (address === undefined) return undefined;
  const [{ Collector }, { MetricsServer }] = await Promise.all([
    import("../metrics/collector.ts"),
    import("../metrics/server.ts"),
  ]);
  const collector = new Collector();
  const { url } = await MetricsServer.start(address, collector);
  report({ event: "metrics", url });
  if (!isLoopback(new URL(url))) {
    const message = `${url} is not for this machine alone: whoever reaches it learns the services' names, how much they are used and how well they do.`;
    report({ event: "warning", code: "metrics-exposed", message });
  }
  return collector;
}
