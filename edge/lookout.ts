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
      const cancel = (): void => exchange.cancel("cancelled");
      if (signal.aborted) cancel();
      else signal.addEventListener("abort", cancel, { once: true });
    }
    this.#young.clear();
    this.#looked();
  }
}

/** Whether nothing of the answer waits to be read or to arrive. */
function isOver({ incoming, error }: Exchange): boolean {
  return incoming.ended || (error !== undefined && !incoming.complete);
}
