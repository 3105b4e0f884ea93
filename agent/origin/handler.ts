/**
 * A function as the origin: `Request` in, `Response` out, both bodies streaming, in this process and without a socket.
 *
 * It waits as a server would: the request's body is taken only as fast as the function reads it, and the answer's body is
 * pulled only as fast as the tunnel takes it. It keeps no WebSockets: a `Response` has no way to agree to one.
 */
import { ReadableStream, type UnderlyingByteSource } from "node:stream/web";
import { TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { HeaderList, RequestHead } from "../../codec/frame.ts";
import { isHeaderValue } from "../../codec/headers.ts";
import { Answer } from "./answer.ts";
import { faultReason } from "./fault.ts";
import { fromWire, requestFields } from "./fields.ts";
import { lastValue, prefixOf, relocated } from "./location.ts";
import type { ExchangeWatch } from "../watch.ts";

/** Answers one request. What it throws becomes a 502 with the code `origin-reset`. */
export type Handler = (request: Request) => Response | Promise<Response>;

export interface HandlerOptions {
  readonly handler: Handler;
  /** Whether redirects are made to stay in the tunnel. */
  readonly rewriteLocation: boolean;
  /** How long the function may take from the last byte of the request to its `Response`; 0 is for ever. */
  readonly timeoutMs: number;
}

/** What the visitor's URL is when the edge does not say: no name of this machine. */
const UNKNOWN_HOST = "http://localhost";

export class HandlerOrigin {
  readonly #options: HandlerOptions;

  constructor(options: HandlerOptions) {
    this.#options = options;
  }

  /**
   * Starts one exchange. Call `cancel` of what it returns when nobody waits for the answer any more.
   * @param own fields that the function gets beside the visitor's
   */
  replay(exchange: Exchange, watch?: ExchangeWatch, own: HeaderList = []): Answer {
    const { rewriteLocation, timeoutMs } = this.#options;
    const { headers } = exchange.request;
    const base = baseOf(exchange.request);
    const answer = new Answer(exchange, {
      timeoutMs,
      rewrite: (fields) => {
        if (!rewriteLocation) return fields;
        const prefix = prefixOf(lastValue(headers, "x-forwarded-prefix"));
        const { host } = new URL(base);
        return relocated(fields, () => ({
          prefix,
          basePath: "",
          origin: [host],
          visited: undefined,
        }));
      },
      again: () => undefined,
      watch,
    });
    void this.#serve(exchange, answer, base, own);
    return answer;
  }

  /** There is nothing to close: whoever has requests under way ends them. */
  async close(): Promise<void> {}

  async #serve(exchange: Exchange, answer: Answer, base: string, own: HeaderList): Promise<void> {
    const flow = new HandlerFlow();
    answer.attach(flow);
    answer.connect();
    try {
      if (exchange.request.length === "socket") {
        answer.fail("origin-invalid", "a function cannot answer a WebSocket; an http.Server can");
        return;
      }
      const request = requestOf(exchange, answer, flow, base, own);
      if (request === undefined) {
        answer.fail("bad-request", `a Request cannot have the method ${exchange.request.method}`);
        return;
      }
      flow.request = request;
      const response: unknown = await this.#options.handler(request);
      await relay(response, answer, flow, exchange.request.method);
    } catch (error) {
      // An error of the function's own after the end is nobody's any more.
      answer.fail("origin-reset", `the function threw ${described(error)}`);
    } finally {
      answer.closed();
    }
  }
}

/** What an `Answer` can do to a function: let it wait, and tell it that nobody waits for it. */
class HandlerFlow {
  readonly #left = new AbortController();
  #gate: PromiseWithResolvers<void> | undefined;
  #ended = false;
  /**
   * Held until the end: a function may keep nothing of it but its signal, and that alone would not be told of an abort once
   * the `Request` is collected (undici has only a WeakRef of what joins the two).
   */
  request: Request | undefined;
  /** Ends the request's body, for whoever still reads it. */
  onDestroy: (error: Error) => void = () => {};
  /** Ends the answer's body, where it is being waited for. */
  onLeave: (error: Error) => void = () => {};

  /** Aborted when the visitor has left or waits no longer, never when all went well. */
  get signal(): AbortSignal {
    return this.#left.signal;
  }

  /** Resolves when there is room for more of the answer. */
  get room(): Promise<void> | undefined {
    return this.#gate?.promise;
  }

  pause(): void {
    this.#gate ??= Promise.withResolvers();
  }

  resume(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  destroy(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.resume();
    this.onDestroy(error);
    // Anything else only means that the rest of the request is not needed.
    if (!(error instanceof TunnelError)) return;
    this.onLeave(error);
    this.#left.abort(error);
  }
}

/** Scheme and host as the visitor asked for them, as far as they make a URL. */
function baseOf({ headers }: RequestHead): string {
  const host = lastValue(headers, "x-forwarded-host");
  const scheme = lastValue(headers, "x-forwarded-proto") === "https" ? "https" : "http";
  if (host === undefined || /[/\\?#@]/.test(host)) return UNKNOWN_HOST;
  const base = `${scheme}://${host}`;
  return URL.canParse(base) ? base : UNKNOWN_HOST;
}

/** The exchange as a `Request`; undefined when none can say it (TRACE). */
function requestOf(
  exchange: Exchange,
  answer: Answer,
  flow: HandlerFlow,
  base: string,
  own: HeaderList,
): Request | undefined {
  const { method, path, length } = exchange.request;
  // `OPTIONS *` is about the server: there is no such URL.
  const target = path.startsWith("/") ? path : `/${path}`;
  if (!URL.canParse(base + target) || /^trac[ek]$/i.test(method)) return undefined;
  const fields = new Headers();
  const flat = requestFields(exchange.request, {
    host: new URL(base).host,
    own,
    publicName: true,
  });
  for (let i = 0; i + 1 < flat.length; i += 2) {
    fields.append(flat[i] as string, flat[i + 1] as string);
  }
  if (typeof length === "number") fields.set("content-length", String(length));
  const { signal } = flow;
  // A `Request` with one of these methods has no body, whatever the visitor sent.
  const bodyless = length === "none" || /^(?:get|head)$/i.test(method);
  if (bodyless) {
    if (length === "none") answer.sent = true;
    return new Request(base + target, { method, headers: fields, signal });
  }
  const body = bodyOf(exchange, answer, flow);
  return new Request(base + target, { method, headers: fields, signal, body, duplex: "half" });
}

/** The request's body, at the pace of whoever reads it: a chunk's credit goes back when the next one is wanted. */
function bodyOf({ incoming }: Exchange, answer: Answer, flow: HandlerFlow): ReadableStream {
  const source: UnderlyingByteSource = {
    type: "bytes",
    start: (controller) => {
      flow.onDestroy = (error) => controller.error(error);
    },
    pull: async (controller) => {
      for (;;) {
        const chunk = incoming.take();
        if (chunk !== undefined) {
          if (chunk.length === 0) continue;
          answer.asked(chunk);
          answer.expectHead();
          // A copy: the function may do with its chunk what it likes, and the original shares its memory with others.
          controller.enqueue(new Uint8Array(chunk));
          return;
        }
        if (incoming.ended) {
          answer.sent = true;
          answer.expectHead();
          flow.onDestroy = () => {};
          controller.close();
          controller.byobRequest?.respond(0);
          return;
        }
        answer.expectVisitor();
        await incoming.ready();
      }
    },
    cancel: () => {
      flow.onDestroy = () => {};
    },
  };
  return new ReadableStream(source, { highWaterMark: 0 });
}

/** Passes an answer on, and pulls its body as fast as the tunnel takes it. */
async function relay(
  response: unknown,
  answer: Answer,
  flow: HandlerFlow,
  method: string,
): Promise<void> {
  if (!isResponse(response)) {
    answer.fail("origin-invalid", "the function returned no Response");
    return;
  }
  const { status, statusText, headers, body } = response;
  // Before the head goes out: the visitor can still be told.
  if (body !== null && (response.bodyUsed || body.locked)) {
    answer.fail("origin-invalid", "the function returned a Response whose body was read already");
    return;
  }
  const fields: string[] = [];
  // Each Set-Cookie comes by itself.
  for (const [name, value] of headers) fields.push(name, fromWire(value));
  answer.head(status, isHeaderValue(statusText) ? statusText : "", fields);
  if (body === null) {
    if (!answer.over) answer.end([]);
    return;
  }
  const reader = body.getReader();
  if (answer.over || method === "HEAD") {
    if (!answer.over) answer.end([]);
    await reader.cancel().catch(() => {});
    return;
  }
  let cancelled: Promise<void> | undefined;
  // Whoever makes the body learns that nobody reads on; a read that waits comes to its end.
  flow.onLeave = (error) => {
    cancelled = reader.cancel(error).catch(() => {});
  };
  try {
    for (;;) {
      await flow.room;
      const { done, value } = await reader.read();
      if (answer.over) break;
      if (done) {
        answer.end([]);
        return;
      }
      if (!(value instanceof Uint8Array)) {
        answer.fail("origin-invalid", "the Response's body has something else than bytes in it");
        break;
      }
      if (value.length > 0) answer.data(value);
    }
  } catch (error) {
    answer.fail("origin-reset", `the body of the Response failed: ${described(error)}`);
  }
  await cancelled;
}

/** A `Response` of this Node, or of a library that brings its own. */
function isResponse(value: unknown): value is Response {
  return (
    typeof value === "object" &&
    value !== null &&
    "status" in value &&
    "headers" in value &&
    "body" in value
  );
}

function described(error: unknown): string {
  return error instanceof Error ? faultReason(error) : JSON.stringify(String(error));
}
