/** The inspector beside an agent: started when it is wanted, told of each service and what becomes of it. */
import { Command } from "commander";
import type { Agent } from "../agent.ts";
import { type ConnectConfig, publicUrl } from "../config/config.ts";
import type { GivenValues } from "../config/given.ts";
import { inspectConfig } from "../config/inspect.ts";
import type { AgentEvent } from "../events.ts";
import type { Inspector, Seat } from "../inspector/inspector.ts";
import type { Watch } from "../watch.ts";
import { everyValueOf } from "./config-show.ts";
import { connectFlags } from "./flags.ts";

/** Undefined when nobody wants it. @throws UsageError */
export async function startInspector(
  given: GivenValues,
  report: (event: AgentEvent) => void,
): Promise<Inspector | undefined> {
  const config = inspectConfig(given, process.stderr.isTTY === true);
  if (config === undefined) return undefined;
  const module = await import("../inspector/inspector.ts");
  const inspector = await module.Inspector.start(config.port);
  report({ event: "inspector", url: inspector.url });
  return inspector;
}

/** The place of one service's agent in the inspector, if there is one. */
export class InspectedAgent {
  readonly #seat: Seat | undefined;

  constructor(inspector: Inspector | undefined, config: ConnectConfig, given: GivenValues) {
    const { service, origin, basePath, concurrency } = config;
    this.#seat = inspector?.seat({
      service,
      publicUrl: publicUrl(config),
      origin: origin.label + basePath,
      concurrency,
      settings: async () => {
        const { options } = connectFlags(new Command());
        const all = await everyValueOf(options, given, process.env);
        return all.map((each) => ({ ...each, value: each.value ?? "–" }));
      },
    });
  }

  /** What the agent's options get. */
  get watch(): { readonly watch?: Watch } {
    return this.#seat === undefined ? {} : { watch: this.#seat.watch };
  }

  report(event: AgentEvent): void {
    this.#seat?.report(event);
  }

  /** From now on its exchanges can be replayed. */
  runs(agent: Agent): void {
    this.#seat?.serves((exchange, own) => agent.serve(exchange, own));
  }
}
