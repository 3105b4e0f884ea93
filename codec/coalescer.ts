/**
 * When a request leaves: at once, or, beside many that wait for their answers, together with those of the next moment.
 *
 * A message costs the edge and the agent as much as the request in it. So the first of a moment leaves at once and those
 * behind it wait for the moment's end, as network cards coalesce interrupts: the quiet pay nothing, the busy 1 ms at most.
 */
import { COALESCED_REQUESTS, COALESCE_BESIDE, COALESCE_MS } from "./limits.ts";
import type { Platform } from "./transport.ts";

export class Coalescer {
  readonly #platform: Platform;
  readonly #due: () => void;
  #held = 0;
  /** Ends the moment, when there is one. */
  #stop: (() => void) | undefined;

  /** @param due called when what was held has to leave. */
  constructor(platform: Platform, due: () => void) {
    this.#platform = platform;
    this.#due = due;
  }

  /**
   * Whether a request that is ready to leave is held until `due` is called, or until something else leaves and takes it along.
   * @param unanswered how many requests wait for their answers, this one among them
   */
  holds(unanswered: number): boolean {
    if (this.#stop === undefined) {
      if (unanswered > COALESCE_BESIDE) this.#begin();
      return false;
    }
    return ++this.#held < COALESCED_REQUESTS;
  }

  /** All that was ready leaves. */
  left(): void {
    this.#held = 0;
  }

  /** Nothing will leave any more. */
  stop(): void {
    this.#stop?.();
  }

  #begin(): void {
    this.#stop = this.#platform.after(COALESCE_MS, () => {
      this.#stop = undefined;
      if (this.#held === 0) return;
      this.#due();
      // They are a message, and begin a moment as the first request did.
      this.#begin();
    });
  }
}
