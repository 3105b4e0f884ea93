/**
 * Looks after requests that take longer than a moment: whether their visitors are still there.
 *
 * A visitor's signal costs a request some 10 µs, a timer as much again, and most requests are answered before either
 * is of use. So one timer a moment serves all of them.
 */
import type { Exchange } from "../codec/exchange.ts";

/** A visitor who leaves sooner is noticed this late. */
const MOMENT_MS = 100;

export class Lookout {
  readonly #young = new Map<Exchange, Request>();
  readonly #joined = new WeakSet<Exchange>();
  readonly #looked: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param looked called a moment after a request began, whatever became of it, unless `stop()` came before. */
  constructor(looked: () => void) {
    this.#looked = looked;
  }

  /** `exchange` has begun for `request`; should its visitor leave before `answered()`, it is cancelled. */
  begin(exchange: Exchange, request: Request): void {
    this.#young.set(exchange, request);
    this.#timer ??= setTimeout(() => this.#look(), MOMENT_MS);
  }

  /**
   * The answer has begun. From now on its stream tells when the visitor leaves, but not that the visitor has left
   * already: to a request that it has given up the runtime hands no answer, and never reads nor cancels its stream.
   */
  answered(exchange: Exchange): void {
    if (isOver(exchange)) this.#young.delete(exchange);
  }

  /**
   * The answer is a WebSocket, and tells itself when the visitor leaves it, and how: the signal would say so first, and the
   * origin would never hear the visitor's goodbye.
   */
  joined(exchange: Exchange): void {
    const request = this.#young.get(exchange);
    this.#young.delete(exchange);
    this.#joined.add(exchange);
    if (request?.signal.aborted === true) exchange.cancel("cancelled");
  }

  /** No stream is open any more. */
  stop(): void {
    for (const exchange of this.#young.keys()) this.answered(exchange);
    if (this.#timer === undefined || this.#young.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    this.#timer = undefined;
    for (const [exchange, request] of this.#young) {
      if (isOver(exchange)) continue;
      const { signal } = request;
      const left = (): void => {
        if (!this.#joined.has(exchange)) exchange.cancel("cancelled");
      };
      if (signal.aborted) left();
      else signal.addEventListener("abort", left, { once: true });
    }
    this.#young.clear();
    this.#looked();
  }
}

/** Whether nothing of the answer waits to be read or to arrive. */
function isOver({ incoming, error }: Exchange): boolean {
  return incoming.ended || (error !== undefined && !incoming.complete);
}
