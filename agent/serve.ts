/**
 * Exchanges as they come: at most `concurrency` at the origin at once, the others wait their turn.
 *
 * A slot is free again only when the origin's request has really ended. A visitor that opens and cancels requests as
 * fast as it can ("rapid reset", CVE-2023-44487) therefore never makes the origin do more than `concurrency` at once.
 */
import PQueue from "p-queue";
import { errors, type TunnelError } from "../codec/errors.ts";
import type { Exchange } from "../codec/exchange.ts";
import type { HeaderList } from "../codec/frame.ts";
import { headerValue } from "../codec/headers.ts";
import { REQUEST_ID } from "../codec/request-id.ts";
import { TIMING, writeTimingReport } from "../codec/timing-report.ts";
import type { Outcome } from "./origin/answer.ts";
import type { RequestEvent } from "./events.ts";
import type { ExchangeWatch, Watch } from "./watch.ts";

/** One exchange being replayed at the origin. */
export interface Replay {
  /** Settles when the origin's request has really ended. Never rejects. */
  readonly done: Promise<Outcome>;
  /** Settles when the next one may begin: with `done`, or before, when a WebSocket was agreed to. */
  readonly released: Promise<void>;
  /** Nobody waits for the answer any more. */
  cancel(error: TunnelError): void;
}

/** What answers: a server somewhere, or a function of this process. */
export interface Replayer {
  /** Starts one exchange. A server gets the fields `own` beside the visitor's. */
  replay(exchange: Exchange, watch: ExchangeWatch | undefined, own: HeaderList): Replay;
}

export interface ServeOptions {
  readonly origin: Replayer;
  readonly concurrency: number;
  /** Called once for each exchange, when it has ended. */
  readonly finished: (request: RequestEvent) => void;
  /** Who looks. */
  readonly watch?: Watch;
}

export class Serve {
  readonly #options: ServeOptions;
  readonly #queue: PQueue;

  constructor(options: ServeOptions) {
    this.#options = options;
    this.#queue = new PQueue({ concurrency: options.concurrency });
  }

  /** Exchanges at the origin and waiting for it. */
  get inFlight(): number {
    return this.#queue.pending + this.#queue.size;
  }

  /**
   * Takes an exchange. To be called synchronously when it was opened.
   * @param more fields that the origin gets beside the visitor's and the request's id
   */
  accept(exchange: Exchange, more: HeaderList = []): void {
    const startedMs = performance.now();
    const { id } = exchange;
    const own = [REQUEST_ID, id, ...more];
    const waiting = new AbortController();
    const watch = this.#options.watch?.opened(exchange);
    let replay: Replay | undefined;
    let cancelled: TunnelError | undefined;
    exchange.onCancel = (error) => {
      cancelled = error;
      // What has arrived of its body may still wait for a reader, who will not come.
      exchange.cancel(error.code);
      // A signal that aborts a running task would free its slot before the origin is done: only a waiting one gets it.
      if (replay === undefined) waiting.abort();
      else replay.cancel(error);
    };
    const run = async (): Promise<void> => {
      // The rest of the message that opened the exchange may hold its whole body: let the session read it first.
      await Promise.resolve();
      if (cancelled !== undefined) {
        giveUp(cancelled);
        return;
      }
      watch?.started?.();
      if (headerValue(exchange.request.headers, TIMING) === "1") reportTime(exchange, startedMs);
      replay = this.#options.origin.replay(exchange, watch, own);
      void replay.done.then(report);
      await replay.released;
    };
    const report = ({ status, bytesIn, bytesOut, outcome, reason }: Outcome): void => {
      const { method, path } = exchange.request;
      const ms = Math.round((performance.now() - startedMs) * 10) / 10;
      this.#options.finished({
        event: "request",
        id,
        method,
        path,
        status,
        ms,
        bytesIn,
        bytesOut,
        outcome,
        ...(reason === undefined ? {} : { reason }),
      });
    };
    const giveUp = (error: TunnelError): void => {
      const outcome = unserved(error);
      watch?.ended(outcome);
      report(outcome);
    };
    this.#queue.add(run, { signal: waiting.signal }).catch((error: unknown) => {
      if (cancelled === undefined) throw error;
      giveUp(cancelled);
    });
  }
}

/** Lets the answer tell what took how long: the wait for a slot, which is over now, and the origin. */
function reportTime(exchange: Exchange, acceptedMs: number): void {
  const calledMs = performance.now();
  exchange.onRespond = () => {
    const report = { slotMs: calledMs - acceptedMs, originMs: performance.now() - calledMs };
    return [TIMING, writeTimingReport(report)];
  };
}

/** The exchange was cancelled before the origin heard of it. */
function unserved({ code }: TunnelError): Outcome {
  return { status: errors[code].status, bytesIn: 0, bytesOut: 0, outcome: code };
}
