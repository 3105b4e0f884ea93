/**
 * What is measured: something that answers requests for the origin, by itself, through a tunnel, or in its place.
 */
import type { Target } from "./load/job.ts";
import { Worker } from "./process.ts";
import type { Kind } from "./row.ts";
import type { RelayAnswer, RelayOptions } from "./site/relay.ts";

/** What a system can be asked to do: floors exist only for one thing or two. */
export type Work = "small" | "download" | "upload" | "events" | "sockets";

export interface System {
  readonly name: string;
  readonly kind: Kind;
  readonly target: Target;
  readonly does: readonly Work[];
  /** The processes on the public side, whose CPU time and memory are the edge's. Asked anew each time: they come and go. */
  edge(): number[];
  /** The same on the origin's side, without the origin. */
  agent(): number[];
  stop(): Promise<void>;
}

/** The path between agent and edge. */
export interface Path {
  readonly rttMs: number;
  /** Megabits a second each way; 0 is no limit. */
  readonly mbitPerS: number;
}

export const noPath: Path = { rttMs: 0, mbitPerS: 0 };

export function isLoopback(path: Path): boolean {
  return path.rttMs === 0 && path.mbitPerS === 0;
}

const relayFile = new URL("site/relay.ts", import.meta.url).pathname;

/** Where a system is set up: an origin, and a path between the two ends of a tunnel to it. */
export class Site {
  readonly originPort: number;
  readonly path: Path;
  readonly #relays: Worker<undefined, RelayAnswer>[] = [];

  constructor(originPort: number, path: Path) {
    this.originPort = originPort;
    this.path = path;
  }

  /** The port that an agent dials instead of `port` of the edge. */
  async via(port: number): Promise<number> {
    if (isLoopback(this.path)) return port;
    return (await (await this.relay(port, false)).ask(undefined)).port;
  }

  /** A relay to `port` that can be asked what it has counted. */
  async relay(port: number, countMessages: boolean): Promise<Worker<undefined, RelayAnswer>> {
    const options: RelayOptions = { to: port, ...this.path, countMessages };
    const relay = new Worker<undefined, RelayAnswer>(relayFile, [JSON.stringify(options)]);
    this.#relays.push(relay);
    return relay;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#relays.map((relay) => relay.stop()));
  }
}
