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

  /** @param looked called a moment after a request began, if requests are under way then. */
  constructor(looked: () => void) {
    this.#looked = looked;
  }

  /** `exchange` has begun for `request`; should its visitor leave before `answered()`, it is cancelled. */
  begin(exchange: Exchange, request: Request): void {
    this.#young.set(exchange, request);
    this.#timer ??= setTimeout(() => this.#look(), MOMENT_MS);
  }

  /** The answer has begun: from now on its stream tells when the visitor leaves. */
  answered(exchange: Exchange): void {
    this.#young.delete(exchange);
  }

  /** Nothing is under way any more. */
  stop(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    this.#timer = undefined;
    for (const [exchange, { signal }] of this.#young) {
      const cancel = (): void => exchange.cancel("cancelled");
      if (signal.aborted) cancel();
      else signal.addEventListener("abort", cancel, { once: true });
    }
    this.#young.clear();
    this.#looked();
  }
}
