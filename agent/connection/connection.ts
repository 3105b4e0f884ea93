/**
 * One object's connection, kept up: dials, and dials again whenever it is lost, with one session for as long as the edge
 * knows it.
 *
 * It decides when to try again and when that cannot help; what is said of it, and what ends with it, is `agent.ts`'s.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Budget } from "../../codec/budget.ts";
import { Dialer } from "../../codec/dialer.ts";
import type { ErrorCode } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { GRACE_MS, MAX_STREAMS, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import type { Session } from "../../codec/session.ts";
import type { Platform } from "../../codec/transport.ts";
import { backoffMs } from "./backoff.ts";
import { Dial, type DialOptions, type Ending } from "./dial.ts";
import type { Visitors } from "../events.ts";
import { SOFTWARE } from "../software.ts";

/** A connection that lasted this long was a good one: the next loss begins the waits anew. */
const STABLE_MS = 10_000;

/** How often a draining connection looks whether the last answer is out. */
const DRAINED_CHECK_MS = 10;

/** How long a drained connection waits for the edge to say that it has all of it: a dial and a few round trips. */
const CONFIRMED_WITHIN_MS = 2000;

/** How long it waits before it asks again; then twice as long. */
const ASK_AGAIN_MS = 250;

export interface ConnectionOptions extends Omit<DialOptions, "dialer"> {
  readonly platform: Platform;
  /** See `DialerOptions.budget`. */
  readonly budget: Budget;
  readonly accept: (exchange: Exchange) => void;
  /** Requests may come. `resumed`: those of before go on. `visitors`: from whom, if the edge says so. */
  readonly connected: (session: Session, resumed: boolean, visitors: Visitors | undefined) => void;
  /** The connection is gone, and will be tried again in `retryMs`. */
  readonly disconnected: (ending: Ending, retryMs: number) => void;
  /** The edge takes no more of us. */
  readonly draining: (code: ErrorCode) => void;
  /** Whether trying again after this cannot help. */
  readonly isFinal: (ending: Ending) => boolean;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #dialer: Dialer;
  #dial: Dial | undefined;
  /** Nothing is to be dialled any more. */
  #over = false;
  #greetedMs = Number.NEGATIVE_INFINITY;
  /** When a connection that the edge had greeted on was lost, or when the edge said that it would end. */
  #lostMs = Number.NEGATIVE_INFINITY;
  /** Ends the wait between two dials. */
  #hurry: (() => void) | undefined;
  /** The present dial was given up so that there is another: that one does not wait. */
  #hurried = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#dialer = new Dialer({
      platform: options.platform,
      introduction: {
        maxStreams: MAX_STREAMS,
        credit: REQUEST_CREDIT_BYTES,
        // The edge decides how long a session is kept; we keep ours as long.
        grace: 0,
        software: SOFTWARE,
      },
      budget: options.budget,
      accept: options.accept,
      connected: (session, resumed) => {
        this.#greetedMs = performance.now();
        options.connected(session, resumed, this.#dial?.visitors);
      },
      draining: options.draining,
    });
  }

  /** Requests in flight. */
  get streams(): number {
    return this.#dialer.streams;
  }

  /**
   * Keeps the connection up until it is drained or stopped, or until an ending is final: that is returned.
   * @param afterMs when to dial first
   * @param succeeds whether it follows one whose edge is about to end: whoever comes after that edge is there in a moment
   */
  async run(afterMs: number, succeeds = false): Promise<Ending | undefined> {
    if (succeeds) this.#lostMs = performance.now();
    if (afterMs > 0) await this.#pause(afterMs);
    for (let attempt = 0; !this.#over; attempt++) {
      const dialer = this.#dialer;
      // Said until the edge has heard it, and never again: it would take over from whoever has taken over since.
      const replace = this.#options.replace && this.#greetedMs === Number.NEGATIVE_INFINITY;
      const dialledMs = performance.now();
      const dial = new Dial({ ...this.#options, replace, dialer });
      this.#dial = dial;
      const ending = await dial.ended;
      this.#dial = undefined;
      if (this.#isOver()) break;
      if (this.#options.isFinal(ending)) {
        dialer.end("agent-lost", "the agent gave up");
        return ending;
      }
      const nowMs = performance.now();
      if (this.#greetedMs >= dialledMs) {
        this.#lostMs = nowMs;
        if (nowMs - this.#greetedMs >= STABLE_MS) attempt = 0;
      }
      const asked = ending.kind === "refused" ? (ending.retryAfterMs ?? 0) : 0;
      const urgent = nowMs - this.#lostMs < GRACE_MS;
      const busy = dialer.streams > 0;
      const retryMs = this.#hurried
        ? 0
        : Math.round(backoffMs({ attempt, busy, urgent, retryAfterMs: asked }, Math.random()));
      this.#hurried = false;
      this.#options.disconnected(ending, retryMs);
      await this.#pause(retryMs);
    }
    return undefined;
  }

  /** Dials again at once, whatever it does now. */
  redial(note: string): void {
    this.#hurried = this.#dial !== undefined;
    this.#dial?.abandon(note);
    this.#hurry?.();
  }

  /**
   * Takes no new requests, waits for those in flight until `deadlineMs` (of `performance.now()`), and ends. Returns when
   * the edge has read all that was sent.
   */
  async drain(deadlineMs: number, note: string): Promise<void> {
    this.#dialer.drain(note);
    // A stream is over when its last frame was handed to the socket; no event tells that, and this is once in a life.
    const unfinished = (): boolean =>
      this.#dialer.streams > 0 || (this.#dial?.unsentBytes ?? 0) > 0;
    while (unfinished() && performance.now() < deadlineMs) await sleep(DRAINED_CHECK_MS);
    await this.#confirm(Math.min(deadlineMs, performance.now() + CONFIRMED_WITHIN_MS));
    const dial = this.#dial;
    this.stop();
    // The edge answers the close frame behind all that was sent. A process that exits before takes that with it.
    await dial?.closed;
  }

  /**
   * Waits until the edge has acknowledged the last answers and our GOAWAY. Before that a broken socket would take answers
   * with it that could be sent again, and a request that crossed the GOAWAY would be lost instead of refused.
   */
  async #confirm(untilMs: number): Promise<void> {
    let askMs = performance.now();
    let pauseMs = ASK_AGAIN_MS;
    do {
      if (performance.now() >= askMs) {
        this.#dialer.session?.ask();
        askMs = performance.now() + pauseMs;
        pauseMs *= 2;
      }
      await sleep(DRAINED_CHECK_MS);
    } while ((this.#dialer.session?.retainedBytes ?? 0) > 0 && performance.now() < untilMs);
  }

  /** Ends at once: what is in flight fails, on both ends. */
  stop(): void {
    this.#over = true;
    this.#dialer.end("shutting-down", "");
    this.#dial?.close(1000, "");
    this.#hurry?.();
  }

  #isOver(): boolean {
    return this.#over;
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hurry = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#hurry = undefined;
  }
}
