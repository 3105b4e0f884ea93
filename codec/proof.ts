/**
 * Whether the peer reads what is sent to it, for an end whose transport is never full: credit says what a peer would
 * take, and says it blindly if it likes. Every few MiB a PING asks with a token that nobody can guess, and whoever
 * answers has read so far.
 */
import { UNPROVEN_BYTES } from "./limits.ts";

export class Proof {
  readonly #random: (() => number) | undefined;
  #sentBytes = 0;
  #provenBytes = 0;
  /** The token whose answer is awaited, and what was sent before it was asked with. Not an object: one that is rarely made unmakes optimized code. */
  #token: number | undefined;
  #askedBytes = 0;

  /** `random` gives the tokens; without it nothing has to be proven. */
  constructor(random: (() => number) | undefined) {
    this.#random = random;
  }

  /** Whether so much was sent unproven that nothing more may be. */
  get missing(): boolean {
    return this.#random !== undefined && this.#sentBytes - this.#provenBytes >= UNPROVEN_BYTES;
  }

  /** The token whose answer is awaited. */
  get token(): number | undefined {
    return this.#token;
  }

  /** Bytes were sent. Returns the token to ask with, when it is time to. */
  sent(bytes: number): number | undefined {
    this.#sentBytes += bytes;
    return this.#ask();
  }

  /** A PONG came. Returns the next token to ask with, when it is time to. */
  answered(token: number): number | undefined {
    if (token !== this.#token) return undefined;
    this.#provenBytes = this.#askedBytes;
    this.#token = undefined;
    return this.#ask();
  }

  /** Both ends begin anew. */
  reset(): void {
    this.#provenBytes = this.#sentBytes;
    this.#token = undefined;
  }

  #ask(): number | undefined {
    const due = this.#sentBytes - this.#provenBytes >= UNPROVEN_BYTES / 4;
    if (this.#random === undefined || this.#token !== undefined || !due) return undefined;
    this.#token = this.#random();
    this.#askedBytes = this.#sentBytes;
    return this.#token;
  }
}
