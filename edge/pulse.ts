/**
 * One shared timer that beats while streams are open, and never when none is: a pending timer would keep the object
 * awake, and awake objects cost money.
 */

/** How often sessions with open streams look for a silent peer. A few beats fit into `PING_AFTER_MS`. */
const BEAT_MS = 5_000;

export class Pulse {
  readonly #beat: () => boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param beat called every few seconds; says whether there is a reason to go on. */
  constructor(beat: () => boolean) {
    this.#beat = beat;
  }

  start(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#beat()) this.start();
    }, BEAT_MS);
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
