/**
 * Requests that wait for an agent to come back: bounded in number, in bytes and in time, and gone when their visitor is.
 */
import { TunnelError } from "../codec/errors.ts";
import type { RequestHead } from "../codec/frame.ts";

export interface WaitingLimits {
  /** How many wait at once; the next one is not let in. */
  readonly most: number;
  /** What the heads of all that wait may take. A body waits in the visitor's own socket. */
  readonly mostBytes: number;
}

export class Waiting {
  readonly #limits: WaitingLimits;
  readonly #wakes = new Set<() => void>();
  #bytes = 0;

  constructor(limits: WaitingLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#wakes.size;
  }

  /**
   * Resolves at the next `release()`, after `limitMs`, or at once when too many wait.
   * @param bytes what the request's head takes.
   * @throws TunnelError `cancelled` when the visitor goes away.
   */
  async wait(signal: AbortSignal, limitMs: number, bytes: number): Promise<void> {
    const { most, mostBytes } = this.#limits;
    if (this.#wakes.size >= most || this.#bytes + bytes > mostBytes) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
    this.#wakes.add(resolve);
    this.#bytes += bytes;
    await promise;
    this.#bytes -= bytes;
    this.#wakes.delete(resolve);
    clearTimeout(timer);
    if (signal.aborted) throw new TunnelError("cancelled");
  }

  /** Lets all go on. */
  release(): void {
    for (const wake of this.#wakes) wake();
  }
}

/** What a head takes while it waits: its strings, at two bytes a character. */
export function headBytes({ path, headers }: RequestHead): number {
  let chars = path.length;
  for (const text of headers) chars += text.length;
  return 2 * chars;
}
