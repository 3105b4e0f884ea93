/**
 * How long an origin that refuses connections is waited for: development servers restart all day. Pure: time is an argument.
 *
 * The window is the origin's, not a request's: one that is down for longer refuses at once, or its requests would take the
 * slots of all others.
 */

/** How long an origin may take to restart without that anybody notices. */
export const WINDOW_MS = 1500;

/** The pause between two tries. */
const STEP_MS = 100;

export class Patience {
  #sinceMs = Number.NEGATIVE_INFINITY;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** A connection was refused. How long to wait for the next try; undefined when waiting is over. */
  refused(nowMs: number): number | undefined {
    if (nowMs - this.#lastMs > WINDOW_MS) this.#sinceMs = nowMs;
    this.#lastMs = nowMs;
    return nowMs - this.#sinceMs < WINDOW_MS ? STEP_MS : undefined;
  }
}
