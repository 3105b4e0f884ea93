/**
 * What becomes of one request at the origin: its answer, passed on as it comes, or the error that took its place.
 *
 * Both HTTP clients report here, so that heads, pressure, cancelling and waiting are the same for both. It knows neither.
 */
import { type ErrorCode, errors, TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { BodyLength, HeaderList, ResponseHead } from "../../codec/frame.ts";
import { crossing, headerValue, isHeaderValue } from "../../codec/headers.ts";
import { type ClientError, clientFault, faultReason } from "./fault.ts";
import type { RequestOutcome } from "../events.ts";
import type { ExchangeWatch } from "../watch.ts";

/** An origin on this machine or network that takes longer than this to accept a connection is not there. */
export const CONNECT_TIMEOUT_MS = 5000;

/** In how many steps a time is waited for: a process that was stopped, or starved, loses one of them at most. */
const STEPS = 4;

/** What can be done to a request that is under way. */
export interface Flow {
  pause(): void;
  resume(): void;
  /** Ends the request and its connection; a no-op when it has ended. */
  destroy(error: Error): void;
}

/** Another try for a request of which the origin has seen nothing, or that it may see twice. */
export interface Retry {
  readonly delayMs: number;
  readonly send: () => void;
}

export interface AnswerOptions {
  /** How long the origin may take from the last byte of the request to the head of its answer; 0 is for ever. */
  readonly timeoutMs: number;
  /** The origin's fields as the visitor gets them. */
  readonly rewrite: (fields: string[]) => string[];
  /** Whether a request that failed without an answer is tried again. */
  readonly again: (error: ClientError) => Retry | undefined;
  /** Told how the body of a 403 begins. */
  readonly forbidden?: (beginning: Uint8Array) => void;
  /** Who looks. */
  readonly watch: ExchangeWatch | undefined;
}

/** How an exchange ended, for logs. */
export interface Outcome {
  /** What the visitor saw, as far as the agent knows. */
  readonly status: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly outcome: RequestOutcome;
  /** What the origin did wrong, for the log. */
  readonly reason?: string;
}

export class Answer {
  /** Settles when the exchange has ended and the client is done with its request, however it ended. Never rejects. */
  readonly done: Promise<Outcome>;
  /** Settles when others may have the origin's attention: with `done`, or when a WebSocket was agreed to, which may stay for days. */
  readonly released: Promise<void>;
  /** Bytes of the request's body that were written to the origin. */
  bytesIn = 0;
  /** Whether all of the request is with the origin's socket: then its connection can serve another one. */
  sent = false;
  readonly #exchange: Exchange;
  readonly #options: AnswerOptions;
  readonly #settle: (outcome: Outcome) => void;
  #release: () => void = () => {};
  #flow: Flow | undefined;
  #connected = false;
  /** What follows when the failed request's connection is closed. */
  #retry: Retry | undefined;
  #timer: NodeJS.Timeout | undefined;
  #head: ResponseHead | undefined;
  #bytesOut = 0;
  #outcome: Outcome | undefined;

  constructor(exchange: Exchange, options: AnswerOptions) {
    this.#exchange = exchange;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    this.done = promise;
    this.released = new Promise((release) => {
      this.#release = release;
    });
    void promise.then(() => this.#release());
    this.#settle = resolve;
    this.#expectConnection();
  }

  /** Whether a connection to the origin was there: before, nothing of the request can have reached it. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Whether the head of the answer was passed on. */
  get answered(): boolean {
    return this.#head !== undefined;
  }

  /** Whether the exchange has ended: what the origin still says is of no use. */
  get over(): boolean {
    return this.#outcome !== undefined;
  }

  /** The client can act on the request through `flow`. */
  attach(flow: Flow): void {
    this.#flow = flow;
    if (this.over) flow.destroy(new Error("the request was cancelled before it was sent"));
  }

  /** A connection is there: the request is about to be written to it. */
  connect(): void {
    this.#connected = true;
    this.expectHead();
    this.#options.watch?.connected?.();
  }

  /** A piece of the request's body goes to the origin. */
  asked(bytes: Uint8Array): void {
    this.bytesIn += bytes.length;
    this.#options.watch?.received?.(bytes);
  }

  /** From now on the origin is to blame for silence. Called again, it has the whole time again. */
  expectHead(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { timeoutMs } = this.#options;
    if (timeoutMs === 0 || this.#head !== undefined || this.over) return;
    this.#failIn(timeoutMs, "origin-timeout", `no answer within ${timeoutMs} ms`);
  }

  /** The visitor is to blame for silence: the origin waits for the rest of the request. */
  expectVisitor(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The origin's final head. `fields` are what it sent, in order and case. */
  head(status: number, reason: string, fields: HeaderList): void {
    if (this.over) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { method } = this.#exchange.request;
    const bodyless = method === "HEAD" || status === 204 || status === 205 || status === 304;
    // A client learns the length from these two answers though no body follows (RFC 9110 section 8.6).
    const keepsLength = method === "HEAD" || status === 304;
    const head: ResponseHead = {
      status,
      reason: isHeaderValue(reason) ? reason : "",
      headers: withoutLength(this.#options.rewrite(crossing(fields)), keepsLength),
      length: bodyless ? "none" : lengthOf(fields),
    };
    this.#exchange.respond(head);
    // The session refuses a head that is illegal or too large, as the origin's fault.
    const refused = this.#exchange.error;
    if (refused === undefined) {
      this.#head = head;
      this.#options.watch?.answered?.(head);
    } else this.fail(refused.code, refused.note);
  }

  /** The origin has agreed to a WebSocket: from now on its bytes are the body, both ways. */
  upgraded(reason: string, fields: HeaderList): void {
    if (this.over) return;
    this.expectVisitor();
    const headers = crossing(fields).filter(
      (_text, i, all) => !ofTheHandshake.has((all[i - (i % 2)] as string).toLowerCase()),
    );
    this.#head = { status: 101, reason, headers, length: "socket" };
    this.#exchange.respond(this.#head);
    this.#options.watch?.answered?.(this.#head);
    this.#release();
  }

  /** A piece of the body. The origin is paused while the tunnel has no room. */
  data(bytes: Uint8Array): void {
    if (this.#outcome || this.#head === undefined || this.#head.length === "none") return;
    if (this.#bytesOut === 0 && this.#head.status === 403) this.#options.forbidden?.(bytes);
    this.#bytesOut += bytes.length;
    const { outgoing } = this.#exchange;
    const { watch } = this.#options;
    watch?.sent?.(bytes);
    if (outgoing.write(bytes)) return;
    if (this.#mismatched()) return;
    this.#flow?.pause();
    watch?.stalled?.();
    outgoing.ready().then(
      () => {
        watch?.resumed?.();
        this.#flow?.resume();
      },
      // The exchange failed meanwhile; `cancel` has ended the origin's connection.
      () => {},
    );
  }

  /** The answer is complete. What is left of the request is not needed: the origin would not read it. */
  end(trailers: HeaderList): void {
    if (this.over) return;
    const { outgoing, incoming } = this.#exchange;
    if (this.#head?.length !== "none") outgoing.end(crossing(trailers));
    if (this.#mismatched()) return;
    if (trailers.length > 0) this.#options.watch?.trailers?.(trailers);
    this.#finish("ok", this.#head?.status ?? 0);
    if (this.sent) return;
    incoming.decline();
    this.#flow?.destroy(new Error("the answer was complete before the request"));
  }

  /** The client failed: another try when that can do no harm, or else what `fail` does. `closed` must follow. */
  broke(error: ClientError): void {
    if (this.over || this.#retry !== undefined) return;
    this.#retry = this.answered ? undefined : this.#options.again(error);
    if (this.#retry === undefined) this.fail(clientFault(error, this), faultReason(error));
  }

  /** The origin failed: the visitor gets an error, or a cut answer if its head was sent. */
  fail(code: ErrorCode, note: string): void {
    if (this.over) return;
    this.#finish(code, this.#head?.status ?? errors[code].status, note);
    this.#exchange.cancel(code, note);
    this.#flow?.destroy(new TunnelError(code, note));
  }

  /** The visitor or the tunnel is gone: nobody waits for the answer. */
  cancel(error: TunnelError): void {
    if (this.over) return;
    this.#finish(error.code, this.#head?.status ?? errors[error.code].status);
    this.#flow?.destroy(error);
  }

  /** The client is done: no byte of this request is on its way, and none will be. Without an answer until then there is none. */
  closed(): void {
    if (this.#retry !== undefined && !this.over) {
      this.#tryAgain(this.#retry);
      return;
    }
    this.fail("origin-reset", "the connection ended without an answer");
    if (this.#outcome === undefined) return;
    this.#options.watch?.ended(this.#outcome);
    this.#settle(this.#outcome);
  }

  /** Whether the body was not as long as its head said: then the exchange has cut it, and so it ends here. */
  #mismatched(): boolean {
    const { error } = this.#exchange;
    if (error !== undefined) this.fail(error.code, error.note);
    return error !== undefined;
  }

  #tryAgain({ delayMs, send }: Retry): void {
    this.#retry = undefined;
    if (this.#connected) {
      this.#connected = false;
      this.sent = false;
      this.bytesIn = 0;
      this.#expectConnection();
    }
    const wait = setTimeout(() => {
      // The wait is over: from now on it is the client that is done with the request, and says so once.
      this.#flow = undefined;
      send();
    }, delayMs);
    this.attach({
      pause: () => {},
      resume: () => {},
      destroy: () => {
        clearTimeout(wait);
        this.closed();
      },
    });
  }

  #expectConnection(): void {
    clearTimeout(this.#timer);
    const note = `no connection within ${CONNECT_TIMEOUT_MS} ms`;
    this.#failIn(CONNECT_TIMEOUT_MS, "origin-refused", note);
  }

  /** Time in which this process did not run is not the origin's: what it said then is still to be read. */
  #failIn(ms: number, code: ErrorCode, note: string): void {
    let left = STEPS;
    const step = (): void => {
      if (left-- === 0) this.fail(code, note);
      else this.#timer = setTimeout(step, Math.ceil(ms / STEPS));
    };
    step();
  }

  #finish(outcome: RequestOutcome, status: number, reason = ""): void {
    clearTimeout(this.#timer);
    const ended = { status, bytesIn: this.bytesIn, bytesOut: this.#bytesOut, outcome };
    this.#outcome = reason === "" ? ended : { ...ended, reason };
  }
}

/** They belong to one WebSocket's handshake, and the visitor has its own. */
const ofTheHandshake = new Set(["sec-websocket-accept", "sec-websocket-extensions"]);

/** How much body follows, by the answer's framing fields (RFC 9112 section 6.3). */
function lengthOf(fields: HeaderList): BodyLength {
  if (headerValue(fields, "transfer-encoding") !== undefined) return "unknown";
  const length = headerValue(fields, "content-length");
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : "unknown";
}

function withoutLength(headers: string[], keep: boolean): string[] {
  if (keep || headerValue(headers, "content-length") === undefined) return headers;
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    if (name.toLowerCase() !== "content-length") kept.push(name, headers[i + 1] as string);
  }
  return kept;
}
