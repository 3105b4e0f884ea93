/** A tunnel as the program has it that made it. */
import type { Agent } from "../agent.ts";
import type { TunnelEvent } from "../events.ts";
import type { ConnectError } from "./errors.ts";
import type { EventOf, Listeners } from "./listeners.ts";

export interface CloseOptions {
  /** Milliseconds that requests in flight may take to finish; 0 ends them at once. By default `ConnectOptions.grace`. */
  readonly graceMs?: number | undefined;
}

export interface Tunnel {
  /** Where visitors go, with a slash at the end. */
  readonly url: string;
  /**
   * Resolves when the tunnel is closed and nothing of it is left, whoever asked for it: `close()`, or another agent with
   * `replace`. Rejects with a `ConnectError` when the edge refuses to have it back. Nobody has to look.
   */
  readonly closed: Promise<void>;
  /** Calls `listener` at each event of that name, from now on. Returns what ends that. */
  on<Name extends TunnelEvent["event"]>(
    name: Name,
    listener: (event: EventOf<Name>) => void,
  ): () => void;
  /**
   * Takes no new requests, lets those in flight finish, and disconnects. Resolves when nothing is left open. May be
   * called again: `graceMs: 0` then ends what another call still waits for. Never rejects but for a `graceMs` that is none.
   */
  close(options?: CloseOptions): Promise<void>;
  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface TunnelParts {
  readonly agent: Agent;
  /** Resolves when all of it is over, with why if nobody asked for it. */
  readonly ended: Promise<ConnectError | undefined>;
  readonly url: string;
  readonly listeners: Listeners;
}

export function openTunnel({ agent, ended, url, listeners }: TunnelParts): Tunnel {
  const closed = ended.then((error) => {
    if (error !== undefined) throw error;
  });
  closed.catch(() => {});
  const close = async ({ graceMs }: CloseOptions = {}): Promise<void> => {
    if (graceMs !== undefined && !(graceMs >= 0)) {
      throw new RangeError(`graceMs must be a number of milliseconds, not ${String(graceMs)}`);
    }
    if (graceMs === 0) agent.stop();
    else agent.drain(graceMs);
    await ended;
  };
  return {
    url,
    closed,
    on: (name, listener) => listeners.on(name, listener),
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}
