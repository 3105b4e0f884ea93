/**
 * What is counted of one service: its connections by what the agent reports, its exchanges as they pass.
 *
 * Nothing that a visitor chooses becomes a label, or their number would be theirs to choose: a path never, a method only when it is
 * one of the known.
 */
import type { Exchange } from "../../codec/exchange.ts";
import type { ResponseHead } from "../../codec/frame.ts";
import type { AgentEvent } from "../events.ts";
import type { Outcome } from "../origin/answer.ts";
import type { ExchangeWatch, Watch } from "../watch.ts";
import { Histogram } from "./histogram.ts";
import { Occupancy } from "./occupancy.ts";

const methods = new Set("GET HEAD POST PUT PATCH DELETE OPTIONS QUERY TRACE CONNECT".split(" "));

/** A connection to one of the service's objects; undefined while there is none. */
export interface ConnectionState {
  readonly session: string;
  /** The latest. */
  readonly rttMs: number;
}

/** Finished exchanges that are alike. */
export interface RequestCount {
  readonly method: string;
  /** `2xx`; `none` when there was no answer and no status for it either. */
  readonly status: string;
  readonly outcome: string;
  count: number;
}

export class ServiceMetrics implements Watch {
  readonly service: string;
  /** By shard; one that is there and not connected is undefined. */
  readonly connections = new Map<number, ConnectionState | undefined>([[0, undefined]]);
  /** Whether it gets no more requests, for good. */
  leaving = false;
  reconnects = 0;
  resumed = 0;
  sessionsLost = 0;
  /** Exchanges that wait for a slot, and those that have one. */
  waiting = 0;
  inFlight = 0;
  requestBytes = 0;
  responseBytes = 0;
  readonly stalled: Occupancy;
  /** Of whole exchanges. A WebSocket is none of them: it lasts as long as its visitor likes. */
  readonly durations = new Histogram();
  /** From an exchange's slot to the head of its answer. */
  readonly origin = new Histogram();
  readonly now: () => number;
  readonly #requests = new Map<string, RequestCount>();

  /** @param now milliseconds of a clock that only goes forward */
  constructor(service: string, now: () => number) {
    this.service = service;
    this.now = now;
    this.stalled = new Occupancy(now);
  }

  /** Whether the service's requests find the agent: over the first object at least, where others' go when they find nobody. */
  get ready(): boolean {
    return !this.leaving && this.connections.get(0) !== undefined;
  }

  get requests(): Iterable<RequestCount> {
    return this.#requests.values();
  }

  /** To be told what the agent reports. */
  report(event: AgentEvent): void {
    switch (event.event) {
      case "connected":
        if (event.again) {
          this.reconnects++;
          this.sessionsLost++;
        }
        this.#connection(event.shard, event);
        break;
      case "resumed":
        this.reconnects++;
        this.resumed++;
        this.#connection(event.shard, event);
        break;
      case "roundTrip": {
        const connection = this.connections.get(event.shard ?? 0);
        if (connection === undefined) break;
        this.#connection(event.shard, { ...connection, rttMs: event.rttMs });
        break;
      }
      case "disconnected":
        this.#connection(event.shard, undefined);
        break;
      case "shards":
        this.#resize(event.shards);
        break;
      case "replaced":
      case "draining":
        this.leaving = true;
        break;
      case "error":
        // A fault of our own ends a session, and another follows; everything else ends the agent.
        if (event.code === "internal-error") break;
        this.leaving = true;
        for (const shard of this.connections.keys()) this.connections.set(shard, undefined);
        break;
      default:
    }
  }

  opened(exchange: Exchange): ExchangeWatch {
    this.waiting++;
    const { method } = exchange.request;
    return new MeasuredExchange(this, methods.has(method) ? method : "other");
  }

  /** An exchange is over. */
  finished(method: string, outcome: Outcome): void {
    const status = outcome.status === 0 ? "none" : `${Math.floor(outcome.status / 100)}xx`;
    const key = `${method} ${status} ${outcome.outcome}`;
    const found = this.#requests.get(key);
    if (found === undefined) {
      this.#requests.set(key, { method, status, outcome: outcome.outcome, count: 1 });
    } else found.count++;
  }

  /** One to a shard that is one too many only finishes what it has: it is none any more. */
  #connection(shard = 0, state: ConnectionState | undefined): void {
    if (this.connections.has(shard)) this.connections.set(shard, state);
  }

  #resize(shards: number): void {
    for (const shard of this.connections.keys()) {
      if (shard >= shards) this.connections.delete(shard);
    }
    for (let shard = this.connections.size; shard < shards; shard++) {
      this.connections.set(shard, undefined);
    }
  }
}

class MeasuredExchange implements ExchangeWatch {
  readonly #of: ServiceMetrics;
  readonly #method: string;
  readonly #openedMs: number;
  #startedMs: number | undefined;
  #stalled = false;

  constructor(of: ServiceMetrics, method: string) {
    this.#of = of;
    this.#method = method;
    this.#openedMs = of.now();
  }

  started(): void {
    this.#startedMs = this.#of.now();
    this.#of.waiting--;
    this.#of.inFlight++;
  }

  received(bytes: Uint8Array): void {
    this.#of.requestBytes += bytes.length;
  }

  answered(_head: ResponseHead): void {
    if (this.#startedMs === undefined) return;
    this.#of.origin.observe((this.#of.now() - this.#startedMs) / 1000);
  }

  sent(bytes: Uint8Array): void {
    this.#of.responseBytes += bytes.length;
  }

  stalled(): void {
    if (this.#stalled) return;
    this.#stalled = true;
    this.#of.stalled.enter();
  }

  resumed(): void {
    if (!this.#stalled) return;
    this.#stalled = false;
    this.#of.stalled.leave();
  }

  ended(outcome: Outcome): void {
    this.resumed();
    if (this.#startedMs === undefined) this.#of.waiting--;
    else this.#of.inFlight--;
    this.#of.finished(this.#method, outcome);
    if (outcome.status === 101) return;
    this.#of.durations.observe((this.#of.now() - this.#openedMs) / 1000);
  }
}
