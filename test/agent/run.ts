/**
 * An agent in the test's own process, as `agent connect --json` runs it: what it says, and how it ends.
 */
import { Agent } from "../../agent/agent.ts";
import { connectConfig } from "../../agent/config/config.ts";
import type { AgentEvent } from "../../agent/events.ts";
import type { ServiceMetrics } from "../../agent/metrics/service-metrics.ts";
import { Log } from "../../agent/terminal/log.ts";
import type { ExitCode } from "../../agent/config/usage.ts";
import { Watch } from "../support/until.ts";

export interface RunFlags {
  readonly edge: URL;
  readonly port: number;
  readonly grace?: string;
  readonly replace?: boolean;
  readonly concurrency?: number;
  /** Counts what it does. */
  readonly metrics?: ServiceMetrics;
}

export class Run {
  readonly agent: Agent;
  readonly exit: Promise<ExitCode>;
  /** Everything it has reported, in order. */
  readonly events: (AgentEvent & { readonly at: number })[] = [];
  readonly #watch = new Watch();

  constructor(flags: RunFlags) {
    const { edge, port, grace = "10s", replace = false, concurrency = 64, metrics } = flags;
    const given = (text: string) => ({ text, from: "--flag", flag: true });
    const config = connectConfig({
      edge: given(edge.href),
      service: given("shop"),
      port: given(String(port)),
      grace: given(grace),
      concurrency: given(String(concurrency)),
      ...(replace ? { replace: given("true") } : {}),
    });
    const log = new Log({
      json: true,
      stdout: {
        write: (line) => {
          this.events.push(JSON.parse(line));
          this.#watch.changed();
        },
      },
      stderr: { write: () => {} },
      now: Date.now,
    });
    this.agent = new Agent({
      config,
      token: "a.token",
      // What waits for an event finds it counted.
      report: (event) => {
        metrics?.report(event);
        log.event(event);
      },
      ...(metrics === undefined ? {} : { watch: metrics }),
    });
    this.exit = this.agent.run();
  }

  /** Its event of that name number `nth`, of the past or to come. */
  async event<Name extends AgentEvent["event"]>(
    name: Name,
    nth = 0,
  ): Promise<Extract<AgentEvent, { readonly event: Name }>> {
    type Wanted = Extract<AgentEvent, { readonly event: Name }>;
    const matches = (event: AgentEvent): event is Wanted => event.event === name;
    return this.#watch.until(
      () => (this.events as AgentEvent[]).filter(matches)[nth],
      `event "${name}" ${nth}`,
    );
  }

  /** The names of its events, but those of requests and pings. */
  get story(): string[] {
    const names = this.events.map(({ event }) => event);
    return names.filter((name) => name !== "request" && name !== "roundTrip");
  }
}
