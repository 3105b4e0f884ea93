/**
 * What is known of the peer's life: when it was last heard, how long a round trip takes, and how often it may ask us.
 *
 * It reads no clock and sends nothing: times are given, and the PING that a token is for is the session's to send.
 */
import { PING_AFTER_MS } from "./limits.ts";

/**
 * The most PONGs within `PING_AFTER_MS`. Whoever looks after a silent peer asks once in that time; one that asks on and on and reads
 * no answer would fill a transport that is never full, as workerd's is.
 */
const MOST_PONGS = 10;

export class Vitals {
  #heardMs: number;
  #rttMs: number | undefined;
  #askedMs = 0;
  #token = 0;
  #pongs = 0;
  #pongsSinceMs = 0;

  constructor(nowMs: number) {
    this.#heardMs = nowMs;
  }

  /** The round trip, once it was measured. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** The peer was heard, or has no reason to speak. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  /** How long nothing was heard. */
  silentMs(nowMs: number): number {
    return nowMs - this.#heardMs;
  }

  /** A question is sent whose answer tells the round trip. Returns the token to ask with; earlier ones tell nothing any more. */
  ask(nowMs: number): number {
    this.#askedMs = nowMs;
    return ++this.#token;
  }

  /** What was asked was asked of another transport: an answer that crossed the gap would tell how long the gap was. */
  forget(): void {
    this.#token++;
  }

  /** A PONG came. False: it answers something else. */
  answered(token: number, nowMs: number): boolean {
    if (token !== this.#token) return false;
    this.sample(nowMs - this.#askedMs);
    return true;
  }

  /** A round trip took so long. Follows the path's shortest at once and longer ones slowly: queues come and go, a path stays. */
  sample(rttMs: number): void {
    const known = this.#rttMs;
    this.#rttMs = known === undefined || rttMs < known ? rttMs : known + (rttMs - known) / 8;
  }

  /** Whether the peer may have one more PONG. */
  mayPong(nowMs: number): boolean {
    if (nowMs - this.#pongsSinceMs >= PING_AFTER_MS) {
      this.#pongsSinceMs = nowMs;
      this.#pongs = 0;
    }
    return ++this.#pongs <= MOST_PONGS;
  }
}
