/**
 * An exchange's answer as the visitor's Response.
 *
 * It never buffers to be polite: a chunk is taken from the exchange, and its credit goes back to the agent, only when
 * the visitor's socket asks for more.
 */
import { type ErrorCode, TunnelError } from "../codec/errors.ts";
import type { Exchange } from "../codec/exchange.ts";
import type { HeaderList, ResponseHead } from "../codec/frame.ts";
import { crossing } from "../codec/headers.ts";
import { REQUEST_ID } from "../codec/request-id.ts";
import type { About } from "./log.ts";
import type { Flow, Pace } from "./pace.ts";
import { codeOf } from "./refusal.ts";
import type { Tally } from "./totals.ts";

/** What watches over an answer while it is sent. */
export interface AnswerWatch {
  readonly about: About;
  readonly tally: Tally;
  readonly pace: Pace;
  /** Called once, when the last byte was handed over or the answer was cut. */
  readonly over: (cut?: ErrorCode) => void;
}

/** Statuses whose answers have no body (RFC 9110 section 15); 101 does not travel. */
function isBodyless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** The fields that are ours on an answer. */
export interface OwnFields {
  readonly id: string;
  /** What took how long, for a visitor who asked. */
  readonly timing: string | undefined;
}

/**
 * The Response for `head` and what follows it in `exchange`.
 * @throws TunnelError `origin-invalid` when the runtime refuses a field or the reason phrase; the exchange is cancelled then.
 */
export function answer(
  exchange: Exchange,
  head: ResponseHead,
  own: OwnFields,
  watch: AnswerWatch,
): Response {
  try {
    return responseFor(exchange, head, own, watch);
  } catch (error) {
    exchange.cancel("origin-invalid", String(error));
    throw new TunnelError("origin-invalid", String(error));
  }
}

function responseFor(
  exchange: Exchange,
  head: ResponseHead,
  own: OwnFields,
  watch: AnswerWatch,
): Response {
  const { status, reason, length } = head;
  const { incoming } = exchange;
  const bodyless = isBodyless(status) || exchange.request.method === "HEAD";
  // encodeBody: the bytes are the origin's, already encoded or not; the runtime must not touch them.
  const init = { status, statusText: reason, encodeBody: "manual" as const };
  const responseWith = (body: Uint8Array | ReadableStream | null): Response => {
    const response = new Response(body, init);
    // Not given with the rest: the runtime would copy them.
    addVisitorFields(response.headers, head.headers, own, bodyless);
    return response;
  };
  if (bodyless || length === "none" || length === 0) {
    // A body that an agent sends all the same is dropped, and its credit with it.
    if (!incoming.ended) exchange.cancel("not-needed", "an answer without body");
    const response = responseWith(null);
    watch.over();
    return response;
  }
  if (incoming.complete && length !== "unknown") {
    const body = wholeBody(exchange);
    watch.tally.toVisitor(body.byteLength);
    const response = responseWith(body);
    watch.over();
    return response;
  }
  const source = new AnswerSource(exchange, length, watch);
  return responseWith(new ReadableStream(source, { highWaterMark: 0 }));
}

/**
 * Adds the origin's fields but those that are ours to set, and ours. `content-length` follows from the body, except where there is
 * none. Appended, not given as pairs: the runtime walks pairs by JavaScript's iterators, at twice the cost.
 */
export function addVisitorFields(
  headers: Headers,
  fields: HeaderList,
  { id, timing }: OwnFields,
  keepsLength: boolean,
): void {
  const crossed = crossing(fields);
  for (let i = 0; i + 1 < crossed.length; i += 2) {
    const name = crossed[i] as string;
    if (!keepsLength && name.toLowerCase() === "content-length") continue;
    headers.append(name, crossed[i + 1] as string);
  }
  headers.append(REQUEST_ID, id);
  // Beside the origin's own, as one list.
  if (timing !== undefined) headers.append("server-timing", timing);
}

/** All chunks of a body that has arrived completely, as one. */
function wholeBody({ incoming }: Exchange): Uint8Array {
  let whole = incoming.take() ?? new Uint8Array(0);
  for (let chunk = incoming.take(); chunk !== undefined; chunk = incoming.take()) {
    const joined = new Uint8Array(whole.byteLength + chunk.byteLength);
    joined.set(whole);
    joined.set(chunk, whole.byteLength);
    whole = joined;
  }
  return whole;
}

/** `error` as workerd's own lost connections look: then a cut is no uncaught exception in the log, only a cut. */
function lostConnection(error: unknown): Error {
  return Object.assign(new Error("Network connection lost.", { cause: error }), {
    retryable: true,
  });
}

/** Feeds the visitor's stream: pulled by the runtime when the visitor's socket has room. */
class AnswerSource implements UnderlyingSource<Uint8Array> {
  readonly #exchange: Exchange;
  readonly #watch: AnswerWatch;
  readonly #flow: Flow;
  /** What a burst left of the chunk taken last. */
  #rest: Uint8Array | undefined;
  #over = false;
  /** The origin's Content-Length: the runtime frames the answer with it, and cuts one that falls short. */
  readonly expectedLength?: number;

  constructor(exchange: Exchange, length: ResponseHead["length"], watch: AnswerWatch) {
    this.#exchange = exchange;
    this.#watch = watch;
    if (typeof length === "number") this.expectedLength = length;
    this.#flow = watch.pace.begin();
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const { incoming } = this.#exchange;
    try {
      while (!this.#burst(controller)) await incoming.ready();
    } catch (error) {
      // Cut, never ended: the visitor must see that something is missing.
      const code = codeOf(error, "answer", this.#watch.about);
      this.#exchange.cancel(code);
      controller.error(lostConnection(error));
      this.#end(code);
    }
  }

  /** The visitor went away. */
  cancel(): void {
    this.#exchange.cancel("cancelled");
    this.#end("cancelled");
  }

  /** Hands over what is here, up to a burst. False: nothing was. */
  #burst(controller: ReadableStreamDefaultController<Uint8Array>): boolean {
    const { incoming } = this.#exchange;
    const { burstBytes } = this.#flow;
    let bytes = 0;
    while (bytes < burstBytes) {
      const chunk = this.#rest ?? incoming.take();
      if (chunk === undefined) break;
      const room = burstBytes - bytes;
      this.#rest = chunk.byteLength > room ? chunk.subarray(room) : undefined;
      const part = this.#rest === undefined ? chunk : chunk.subarray(0, room);
      controller.enqueue(part);
      bytes += part.byteLength;
    }
    if (bytes > 0) this.#flow.sent(bytes);
    this.#watch.tally.toVisitor(bytes);
    if (this.#rest !== undefined || !incoming.ended) return bytes > 0;
    // One more take(): the last chunk's credit goes back with it.
    incoming.take();
    controller.close();
    this.#end();
    return true;
  }

  #end(cut?: ErrorCode): void {
    if (this.#over) return;
    this.#over = true;
    this.#flow.end();
    this.#watch.over(cut);
  }
}
