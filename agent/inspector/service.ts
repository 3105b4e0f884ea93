/** One service as the inspector knows it: where it is, its connections, and who serves a replay. */
import type { Exchange } from "../../codec/exchange.ts";
import type { HeaderList } from "../../codec/frame.ts";
import type { AgentEvent } from "../events.ts";
import type { Connection, ServiceStatus, Setting } from "./api.ts";

export interface ServiceOptions {
  readonly service: string;
  readonly publicUrl: string;
  readonly origin: string;
  readonly concurrency: number;
  /** What the configuration says, without secrets. Asked once, when somebody looks. */
  readonly settings: () => Promise<readonly Setting[]>;
}

/** Serves an exchange that did not come from the edge, with further fields for the origin. */
export type ServeReplay = (exchange: Exchange, own: HeaderList) => void;

export class Service {
  readonly options: ServiceOptions;
  serve: ServeReplay | undefined;
  #settings: Promise<readonly Setting[]> | undefined;
  readonly #connections = new Map<number, Connection>();

  constructor(options: ServiceOptions) {
    this.options = options;
  }

  /** What an agent reports of its connections. @returns whether the status has changed */
  report(event: AgentEvent): boolean {
    const now = Date.now();
    switch (event.event) {
      case "connected": {
        const { shard = 0, session, rttMs, again } = event;
        const { reconnects, resumed } = this.#of(shard);
        this.#connections.set(shard, {
          shard,
          state: "connected",
          session,
          rttMs,
          measured: now,
          since: now,
          reconnects: again ? reconnects + 1 : reconnects,
          resumed,
          says: "",
        });
        return true;
      }
      case "resumed": {
        const { shard = 0, session, rttMs } = event;
        const { reconnects, resumed } = this.#of(shard);
        this.#connections.set(shard, {
          shard,
          state: "connected",
          session,
          rttMs,
          measured: now,
          since: now,
          reconnects: reconnects + 1,
          resumed: resumed + 1,
          says: "",
        });
        return true;
      }
      case "roundTrip": {
        const { shard = 0, rttMs } = event;
        const connection = this.#connections.get(shard);
        if (connection === undefined) return false;
        this.#connections.set(shard, { ...connection, rttMs, measured: now });
        return true;
      }
      case "disconnected": {
        const { shard = 0, code, reason } = event;
        const before = this.#of(shard);
        const since = before.state === "disconnected" ? before.since : now;
        const says = reason === "" ? code : reason;
        this.#connections.set(shard, { ...before, state: "disconnected", since, says });
        return true;
      }
      case "shards": {
        const { shards } = event;
        for (const shard of this.#connections.keys()) {
          if (shard >= shards) this.#connections.delete(shard);
        }
        return true;
      }
      default:
        return false;
    }
  }

  async status(): Promise<ServiceStatus> {
    this.#settings ??= this.options.settings();
    const { service, publicUrl, origin, concurrency } = this.options;
    const connections = [...this.#connections.values()].sort((a, b) => a.shard - b.shard);
    return {
      service,
      publicUrl,
      origin,
      concurrency,
      settings: await this.#settings,
      connections: connections.length === 0 ? [this.#of(0)] : connections,
    };
  }

  #of(shard: number): Connection {
    return (
      this.#connections.get(shard) ?? {
        shard,
        state: "connecting",
        session: "",
        rttMs: 0,
        measured: 0,
        since: Date.now(),
        reconnects: 0,
        resumed: 0,
        says: "",
      }
    );
  }
}
