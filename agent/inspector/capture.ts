/**
 * The latest exchanges, as many as there is room for.
 *
 * What is known of an exchange is always kept, its bodies while there is memory; the oldest goes first, those that are
 * over before those that are under way.
 */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { Exchange } from "../../codec/exchange.ts";
import type { ExchangeWatch, Watch } from "../watch.ts";
import type { Percentiles } from "./api.ts";
import { type Keeper, Recording } from "./recording.ts";
import { Slab } from "./slab.ts";

/** Of the newest exchanges, so many are kept. */
export const MOST_EXCHANGES = 1000;

/** What they may take of memory, heads included. */
export const MOST_BYTES = 50 * 1024 * 1024;

/** The share of the memory that is free after there was none left. */
const SPARE = 0.05;

/** Histograms count in steps of ten microseconds. */
const STEP_MS = 0.01;

export class Capture implements Keeper {
  readonly slab = new Slab();
  /** Told of every exchange of which there is something new to show; undefined while nobody looks. */
  onChange: ((recording: Recording) => void) | undefined;
  readonly #kept = new Map<number, Recording>();
  readonly #replays = new WeakMap<Exchange, number>();
  readonly #mostExchanges: number;
  readonly #mostBytes: number;
  readonly #total = createHistogram();
  readonly #origin = createHistogram();
  #anyReplays = false;
  #bytes = 0;
  #seen = 0;
  #open = 0;
  #failed = 0;

  constructor({ mostExchanges = MOST_EXCHANGES, mostBytes = MOST_BYTES } = {}) {
    this.#mostExchanges = mostExchanges;
    this.#mostBytes = mostBytes;
  }

  get seen(): number {
    return this.#seen;
  }

  /** Under way, kept or not. */
  get open(): number {
    return this.#open;
  }

  get failed(): number {
    return this.#failed;
  }

  get size(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** From opened to ended. */
  get total(): Percentiles {
    return percentiles(this.#total);
  }

  /** From the connection to the origin to the head of its answer. */
  get origin(): Percentiles {
    return percentiles(this.#origin);
  }

  /** Who watches one service's exchanges. */
  of(service: string): Watch {
    return { opened: (exchange) => this.#opened(service, exchange) };
  }

  /** Says before it is served that an exchange repeats another. */
  replays(exchange: Exchange, id: number): void {
    this.#replays.set(exchange, id);
    this.#anyReplays = true;
  }

  find(id: number): Recording | undefined {
    return this.#kept.get(id);
  }

  /** Newest first. */
  newest(most = this.#mostExchanges): Recording[] {
    return [...this.#kept.values()].reverse().slice(0, most);
  }

  /** Forgets the exchanges that are over; those under way stay, and can still be stopped. */
  clear(): void {
    for (const recording of this.#kept.values()) {
      if (recording.phase === "over") this.#forget(recording);
    }
  }

  grew(bytes: number): void {
    this.#bytes += bytes;
    if (bytes > 0 && this.#bytes > this.#mostBytes) this.#makeRoom();
  }

  changed(recording: Recording): void {
    this.onChange?.(recording);
  }

  ended(recording: Recording): void {
    this.#open--;
    if (recording.outcome?.outcome !== "ok") this.#failed++;
    this.#total.record(steps(recording.ms));
    const { originMs } = recording;
    if (originMs !== undefined) this.#origin.record(steps(originMs));
    this.onChange?.(recording);
  }

  #opened(service: string, exchange: Exchange): ExchangeWatch {
    this.#seen++;
    this.#open++;
    const replayOf = this.#anyReplays ? (this.#replays.get(exchange) ?? 0) : 0;
    const recording = new Recording({ id: this.#seen, service, exchange, keeper: this, replayOf });
    this.#kept.set(recording.id, recording);
    if (this.#kept.size > this.#mostExchanges) this.#makeRoom();
    this.onChange?.(recording);
    return recording;
  }

  /** Down to a little less than there is room for, so that the next chunk is not the next reason. */
  #makeRoom(): void {
    const enough = (): boolean =>
      this.#kept.size <= this.#mostExchanges && this.#bytes <= this.#mostBytes * (1 - SPARE);
    for (const recording of this.#kept.values()) {
      if (enough()) return;
      if (recording.phase === "over") this.#forget(recording);
    }
    for (const recording of this.#kept.values()) {
      if (this.#bytes <= this.#mostBytes * (1 - SPARE)) break;
      recording.drop();
    }
    for (const recording of this.#kept.values()) {
      if (enough()) return;
      this.#forget(recording);
    }
  }

  #forget(recording: Recording): void {
    this.#kept.delete(recording.id);
    recording.drop();
    this.#bytes -= recording.bytes;
    recording.bytes = 0;
    recording.forgotten = true;
  }
}

function steps(ms: number): number {
  return Math.max(1, Math.round(ms / STEP_MS));
}

function percentiles(histogram: RecordableHistogram): Percentiles {
  const { count } = histogram;
  const ms = (steps: number): number => (count === 0 ? 0 : Math.round(steps * STEP_MS * 100) / 100);
  return {
    count,
    p50: ms(histogram.percentile(50)),
    p90: ms(histogram.percentile(90)),
    p99: ms(histogram.percentile(99)),
    max: ms(histogram.max),
  };
}
