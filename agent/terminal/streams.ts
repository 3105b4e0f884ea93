/**
 * The exchanges that are open, as the terminal shows them while they last.
 *
 * It looks on (`watch.ts`): it counts bytes and keeps none. A terminal that nobody sees has none of this.
 */
import type { Exchange } from "../../codec/exchange.ts";
import type { ResponseHead } from "../../codec/frame.ts";
import { showBytes } from "../config/duration.ts";
import type { ExchangeWatch, Watch } from "../watch.ts";
import { age, statusStyle } from "./lines.ts";
import { cut, cutLine, fill, type Line, shown, type Span } from "./text.ts";

/** What is over sooner is told in one line at its end. */
export const SHOWN_AFTER_MS = 1000;

/** A rate is what went through in about this long. */
const RATE_OVER_MS = 2000;

/** A pause shorter than this is how a stream breathes. */
const STALLED_AFTER_MS = 1000;

export class OpenStream implements ExchangeWatch {
  readonly method: string;
  readonly path: string;
  readonly label: string;
  readonly openedMs: number;
  readonly #owner: OpenStreams;
  status: number | undefined;
  bytesIn = 0;
  bytesOut = 0;
  waiting = true;
  stalledSinceMs: number | undefined;
  #bytesPerMs = 0;
  #measuredBytes = 0;
  #measuredMs: number;

  constructor(owner: OpenStreams, exchange: Exchange, label: string, nowMs: number) {
    this.#owner = owner;
    this.method = exchange.request.method;
    this.path = exchange.request.path;
    this.label = label;
    this.openedMs = nowMs;
    this.#measuredMs = nowMs;
  }

  started(): void {
    this.waiting = false;
  }

  received(bytes: Uint8Array): void {
    this.bytesIn += bytes.length;
  }

  answered({ status }: ResponseHead): void {
    this.status = status;
  }

  sent(bytes: Uint8Array): void {
    this.bytesOut += bytes.length;
  }

  stalled(): void {
    this.stalledSinceMs = this.#owner.now();
  }

  resumed(): void {
    this.stalledSinceMs = undefined;
  }

  ended(): void {
    this.#owner.remove(this);
  }

  /** Whether the origin waits for the visitor, and not just for a breath. */
  held(nowMs: number): boolean {
    return this.stalledSinceMs !== undefined && nowMs - this.stalledSinceMs >= STALLED_AFTER_MS;
  }

  /** Bytes a second, both ways, as of late. To be asked in one rhythm: it is a mean since it was asked before. */
  rate(nowMs: number): number {
    const passedMs = nowMs - this.#measuredMs;
    if (passedMs <= 0) return this.#bytesPerMs * 1000;
    const bytes = this.bytesIn + this.bytesOut;
    const newest = (bytes - this.#measuredBytes) / passedMs;
    const first = this.#measuredMs === this.openedMs;
    const weight = first ? 1 : 1 - Math.exp(-passedMs / RATE_OVER_MS);
    this.#bytesPerMs += (newest - this.#bytesPerMs) * weight;
    this.#measuredBytes = bytes;
    this.#measuredMs = nowMs;
    return this.#bytesPerMs * 1000;
  }
}

/** All of them, of however many services. */
export class OpenStreams {
  /** Milliseconds, from wherever. */
  readonly now: () => number;
  readonly #all = new Set<OpenStream>();
  readonly #opened: () => void;

  /** @param opened called when there is one more */
  constructor(now: () => number, opened: () => void) {
    this.now = now;
    this.#opened = opened;
  }

  /** Looks at one service's. */
  watch(label: string): Watch {
    return {
      opened: (exchange) => {
        const stream = new OpenStream(this, exchange, label, this.now());
        this.#all.add(stream);
        this.#opened();
        return stream;
      },
    };
  }

  remove(stream: OpenStream): void {
    this.#all.delete(stream);
  }

  get size(): number {
    return this.#all.size;
  }

  /** Those to be shown, the oldest first. */
  lasting(nowMs: number): OpenStream[] {
    const lasting: OpenStream[] = [];
    // A set is in the order of insertion, which is that of age.
    for (const stream of this.#all) {
      if (nowMs - stream.openedMs < SHOWN_AFTER_MS) break;
      lasting.push(stream);
    }
    return lasting;
  }
}

/** A line for each of the oldest, and how many more there are. */
export function streamLines(
  streams: readonly OpenStream[],
  nowMs: number,
  columns: number,
  rows: number,
): Line[] {
  if (streams.length === 0 || rows <= 0) return [];
  const all = streams.length <= rows;
  const named = all ? streams : streams.slice(0, rows - 1);
  const lines = named.map((stream) => streamLine(stream, nowMs, columns));
  if (!all) lines.push([[cut(`  and ${streams.length - named.length} more open`, columns), "dim"]]);
  return lines;
}

function streamLine(stream: OpenStream, nowMs: number, columns: number): Line {
  const { method, status, bytesIn, bytesOut, waiting, openedMs, label } = stream;
  const wide = columns >= 72;
  const rate = stream.rate(nowMs);
  const up = bytesIn > bytesOut;
  const size = `${up ? "↑" : "↓"} ${showBytes(up ? bytesIn : bytesOut)}`;
  const told: Span = status === undefined ? ["···", "dim"] : [String(status), statusStyle(status)];
  const speed: Span = stream.held(nowMs)
    ? ["slow visitor".padStart(14), "yellow"]
    : [`${showBytes(Math.round(rate))}/s`.padStart(14)];
  const behind: Span[] = [
    ["  "],
    told,
    waiting ? ["waiting".padStart(wide ? 12 : 10), "yellow"] : [size.padStart(wide ? 12 : 10)],
    ...(columns < 56 ? [] : [waiting ? (["for a slot".padStart(14), "yellow"] as const) : speed]),
    [age(nowMs - openedMs).padStart(wide ? 9 : 7)],
  ];
  const name = label === "" ? "" : `${label} `;
  const before: Span[] = [["  "], ["⇄", "cyan"], [` ${name}${method.padEnd(wide ? 6 : 4)} `]];
  const taken = [...before, ...behind].reduce((sum, [text]) => sum + text.length, 0);
  const path = fill(shown(stream.path), Math.max(6, Math.min(40, columns - taken)));
  return cutLine([...before, [path], ...behind], columns);
}
