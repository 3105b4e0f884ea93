/**
 * One connection to each of the objects that the edge spreads the service over, as many as it says at the time.
 *
 * A connection that is one too many finishes what it has; new ones come a few at a time. The first shard is always there.
 */
import { Budget } from "../../codec/budget.ts";
import type { Session } from "../../codec/session.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import type { Visitors } from "../events.ts";
import type { Ending } from "./dial.ts";

/** How often the edge is asked. Until we follow, a shard without us hands what it gets to the first: nobody waits for this. */
const ASK_EVERY_MS = 60_000;

/** Between two first dials: a thousand handshakes at once would be an attack. */
const DIAL_APART_MS = 10;

export interface ShardsOptions extends Omit<
  ConnectionOptions,
  "connected" | "disconnected" | "measured" | "budget"
> {
  /** How many shards there are; undefined when the edge does not say so now. Never rejects. */
  readonly count: (signal: AbortSignal) => Promise<number | undefined>;
  readonly connected: (
    shard: number,
    session: Session,
    resumed: boolean,
    visitors: Visitors | undefined,
  ) => void;
  readonly disconnected: (shard: number, ending: Ending, retryMs: number) => void;
  /** See `DialOptions.measured`. */
  readonly measured: (shard: number, rttMs: number) => void;
  /** There are so many shards now. */
  readonly counted: (shards: number) => void;
}

export class Shards {
  readonly #options: ShardsOptions;
  /** One for all: they share our memory. */
  readonly #budget = new Budget();
  readonly #connections = new Map<number, Connection>();
  /** Those, and those that are one too many and not finished. */
  readonly #unfinished = new Set<Connection>();
  /** Those that are connected at this moment. */
  readonly #up = new Set<Connection>();
  readonly #end = Promise.withResolvers<Ending | undefined>();
  /** Aborted when no more is dialled. */
  readonly #leaving = new AbortController();
  #opened = 0;
  #asking = false;

  constructor(options: ShardsOptions) {
    this.#options = options;
  }

  /** Requests in flight. */
  get streams(): number {
    let streams = 0;
    for (const connection of this.#unfinished) streams += connection.streams;
    return streams;
  }

  /** Keeps the connections up until they are drained or stopped, or until the ending of one is final: that is returned. */
  async run(): Promise<Ending | undefined> {
    this.#open(0, 0);
    const timer = setInterval(() => void this.#follow(), ASK_EVERY_MS);
    const ending = await this.#end.promise;
    clearInterval(timer);
    this.#leaving.abort();
    return ending;
  }

  /** See `Connection.redial`. */
  redial(note: string): void {
    for (const connection of this.#unfinished) connection.redial(note);
  }

  /** See `Connection.drain`. */
  async drain(deadlineMs: number, note: string): Promise<void> {
    this.#leaving.abort();
    const all = [...this.#unfinished];
    await Promise.all(all.map((connection) => connection.drain(deadlineMs, note)));
  }

  /** See `Connection.stop`. */
  stop(): void {
    this.#leaving.abort();
    for (const connection of this.#unfinished) connection.stop();
  }

  async #follow(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const count = await this.#options.count(this.#leaving.signal);
    this.#asking = false;
    if (count === undefined || this.#leaving.signal.aborted) return;
    if (count === this.#connections.size) return;
    this.#resize(count);
    this.#options.counted(count);
  }

  #resize(count: number): void {
    for (const [shard, connection] of this.#connections) {
      if (shard < count) continue;
      this.#connections.delete(shard);
      // However long that takes: that there are fewer shards is no reason to cut a download.
      void connection.drain(Number.POSITIVE_INFINITY, "there are fewer shards");
    }
    let afterMs = 0;
    for (let shard = this.#connections.size; shard < count; shard++) {
      this.#open(shard, afterMs);
      afterMs += DIAL_APART_MS;
    }
  }

  #open(shard: number, afterMs: number, succeeds = false): void {
    const { url, id, replace, connected, disconnected, measured, draining } = this.#options;
    const target = new URL(url);
    if (shard > 0) target.searchParams.set("shard", String(shard));
    const nth = this.#opened++;
    const connection = new Connection({
      ...this.#options,
      url: target,
      // One that comes again while the one before finishes is not to be taken for it.
      id: nth === 0 ? id : `${id}-${nth}`,
      // Whom the first shard dismisses leaves the others too. A later connection takes over from nobody.
      replace: replace && nth === 0,
      budget: this.#budget,
      connected: (session, resumed, visitors) => {
        this.#up.add(connection);
        connected(shard, session, resumed, visitors);
        if (shard === 0) void this.#follow();
      },
      disconnected: (ending, retryMs) => {
        this.#up.delete(connection);
        // The shard has another: only what this one still had to finish is without a connection.
        const current = this.#connections.get(shard);
        if (current === undefined || !this.#up.has(current)) disconnected(shard, ending, retryMs);
      },
      measured: (rttMs) => {
        // The shard has another: this one only finishes what it has.
        if (this.#connections.get(shard) === connection) measured(shard, rttMs);
      },
      draining: (code) => {
        if (code === "draining") this.#succeed(shard, connection);
        else draining(code);
      },
    });
    this.#connections.set(shard, connection);
    this.#unfinished.add(connection);
    void connection.run(afterMs, succeeds).then((ending) => this.#ended(connection, ending));
  }

  /** The edge is about to end: what comes after it gets a connection of its own, and this one finishes what it has. */
  #succeed(shard: number, connection: Connection): void {
    if (this.#leaving.signal.aborted || this.#connections.get(shard) !== connection) return;
    this.#open(shard, 0, true);
    void connection.drain(Number.POSITIVE_INFINITY, "the edge restarts");
  }

  #ended(connection: Connection, ending: Ending | undefined): void {
    this.#unfinished.delete(connection);
    this.#up.delete(connection);
    if (ending === undefined && this.#unfinished.size > 0) return;
    this.stop();
    this.#end.resolve(ending);
  }
}
