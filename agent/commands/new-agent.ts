/** An agent and all who are told what becomes of it: the log, the terminal, the inspector, the metrics. */
import { Agent } from "../agent.ts";
import type { ConnectConfig } from "../config/config.ts";
import { type GivenValues, isOn } from "../config/given.ts";
import type { AgentEvent } from "../events.ts";
import type { Inspector } from "../inspector/inspector.ts";
import { probeOrigin } from "../origin/probe.ts";
import type { Collector } from "../metrics/collector.ts";
import type { OpenLog } from "../terminal/open-log.ts";
import { type Watch, Watchers } from "../watch.ts";
import "../young-heap.ts";
import { InspectedAgent } from "./inspect.ts";

export interface NewAgentOptions {
  readonly config: ConnectConfig;
  readonly token: string;
  /** Where the configuration comes from. */
  readonly values: GivenValues;
  /** That of the service. */
  readonly open: OpenLog;
  readonly inspector: Inspector | undefined;
  readonly metrics: Collector | undefined;
}

/** Does not run it. */
export function newAgent(options: NewAgentOptions): Agent {
  const { config, token, values, open, inspector, metrics } = options;
  const { log } = open;
  const inspected = new InspectedAgent(inspector, config, values);
  const measured = metrics?.seat(config.service);
  const qr = isOn(values["qr"]);
  const report = (event: AgentEvent): void => {
    log.event(event);
    inspected.report(event);
    measured?.report(event);
    if (!qr || event.event !== "connected" || event.again || event.shard !== undefined) return;
    void import("../terminal/show-qr.ts").then(({ showQrCode }) => showQrCode(open, event.url));
  };
  const watchers = [log.watch, inspected.watch.watch, measured].filter(
    (each) => each !== undefined,
  );
  const agent = new Agent({ config, token, report, ...watchedBy(watchers) });
  inspected.runs(agent);
  void probeOrigin(config.origin).then((event) => log.event(event));
  return agent;
}

/** Nobody who looks is not the same as a list of nobody: it costs nothing. */
function watchedBy(all: readonly Watch[]): { readonly watch?: Watch } {
  const [only] = all;
  if (only === undefined) return {};
  if (all.length === 1) return { watch: only };
  const watch = new Watchers();
  for (const each of all) watch.add(each);
  return { watch };
}
