/**
 * Requests that wait for an agent to come back: bounded in number and in time, and gone when their visitor is.
 */
import { TunnelError } from "../codec/errors.ts";

export class Waiting {
  readonly #limitMs: number;
  readonly #most: number;
  readonly #wakes = new Set<() => void>();

  /**
   * @param limitMs how long one waits at the longest.
   * @param most how many wait at once; the next one is not let in.
   */
  constructor(limitMs: number, most: number) {
    this.#limitMs = limitMs;
    this.#most = most;
  }

  get size(): number {
    return this.#wakes.size;
  }

  /**
   * Resolves at the next `release()`, when the time is over, or at once when too many wait.
   * @throws TunnelError `cancelled` when the visitor goes away.
   */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#wakes.size >= this.#most) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#limitMs);
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
    this.#wakes.add(resolve);
    await promise;
    this.#wakes.delete(resolve);
    clearTimeout(timer);
    if (signal.aborted) throw new TunnelError("cancelled");
  }

  /** Lets all go on. */
  release(): void {
    for (const wake of this.#wakes) wake();
  }
}
