/**
 * The agent's end of a tunnel without a network: a `Pair` whose exchanges are served by `Serve` and `Origin`.
 */
import { Origin, type OriginOptions } from "../../agent/origin/origin.ts";
import type { RequestEvent } from "../../agent/events.ts";
import { Serve } from "../../agent/serve.ts";
import type { Watch as ExchangeWatcher } from "../../agent/watch.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { RequestHead } from "../../codec/frame.ts";
import { Watch } from "../support/until.ts";
import { Pair } from "./pair.ts";

export class TunnelEnd {
  readonly serve: Serve;
  /** What was reported of finished exchanges. */
  readonly finished: RequestEvent[] = [];
  readonly origin: Origin;
  readonly #watch: Watch;
  #pair: Pair | undefined;

  private constructor(origin: Origin, concurrency: number, watch: ExchangeWatcher | undefined) {
    this.origin = origin;
    this.#watch = new Watch();
    this.serve = new Serve({
      origin,
      concurrency,
      finished: (request) => {
        this.finished.push(request);
        this.#watch.changed();
      },
      ...(watch === undefined ? {} : { watch }),
    });
  }

  /** @param watch who sees its exchanges pass */
  static async to(
    port: number,
    options: Partial<OriginOptions> = {},
    watch?: ExchangeWatcher,
  ): Promise<TunnelEnd> {
    const url = new URL(`http://localhost:${port}`);
    const concurrency = options.concurrency ?? 8;
    const origin = new Origin({
      address: { url, socketPath: undefined, http2: false, label: url.origin },
      basePath: "",
      concurrency,
      hostHeader: undefined,
      rewriteLocation: true,
      publicName: true,
      tls: { rejectUnauthorized: true },
      timeoutMs: 10_000,
      ...options,
    });
    const end = new TunnelEnd(origin, concurrency, watch);
    end.#pair = await Pair.join((exchange) => end.serve.accept(exchange));
    return end;
  }

  get pair(): Pair {
    if (this.#pair === undefined) throw new Error("not joined yet");
    return this.#pair;
  }

  ask(head: Partial<RequestHead> & { readonly body?: string } = {}): Exchange {
    return this.pair.ask(head);
  }

  /** The report of the exchange number `index`, in order of their ends. */
  async report(index = 0): Promise<RequestEvent> {
    return this.#watch.until(() => this.finished[index], `the end of exchange ${index}`);
  }

  /** Resolves when no stream is open on either end: nothing leaked. */
  get streams(): number {
    return this.pair.edge.streams + this.pair.agent.streams;
  }

  async stop(): Promise<void> {
    this.pair.agent.lost();
    this.pair.edge.lost();
    await this.origin.close();
  }
}
