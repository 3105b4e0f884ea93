/**
 * Requests whose body is all here, or that have none, by undici: a third of node:http's work for a request.
 *
 * Requests whose body is still on its way go through `streaming.ts`: undici writes a head only together with the first
 * byte of the body (client-h1.js, AsyncWriter), so a visitor that sends its body after it has seen the head of the
 * answer would wait for ever.
 */
import { Pool, type Dispatcher } from "undici";
import type { Exchange } from "../../codec/exchange.ts";
import { MAX_HEAD_BYTES } from "../../codec/limits.ts";
import { type Answer, CONNECT_TIMEOUT_MS } from "./answer.ts";
import type { Call } from "./call.ts";
import type { OriginAddress } from "../config/config.ts";
import { fieldsFromWire, requestFields } from "./fields.ts";
import { createConnector } from "./origin-socket.ts";
import type { OriginTls } from "./origin-tls.ts";

/** An idle connection is closed after this time, before servers do it (Node's after 5 s): a request must not meet its end. */
export const KEEP_ALIVE_MS = 4000;

/** @param connections how many requests may be under way at once; undici would queue more, unseen */
export function createPool(address: OriginAddress, tls: OriginTls, connections: number): Pool {
  return new Pool(address.url.origin, {
    connections,
    pipelining: 1,
    connect: createConnector({
      ...tls,
      timeout: CONNECT_TIMEOUT_MS,
      allowH2: false,
      ...(address.socketPath === undefined ? {} : { socketPath: address.socketPath }),
    }),
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEAD_BYTES,
    // The answer's clock is `Answer`'s, the same for both clients; a body may be silent for hours, as event streams are.
    headersTimeout: 0,
    bodyTimeout: 0,
    allowH2: false,
    strictContentLength: true,
  });
}

/** Whether all of the request is here. */
export function isWhole({ request, incoming }: Exchange): boolean {
  return request.length === "none" || (typeof request.length === "number" && incoming.complete);
}

/** The body of a request that `isWhole`; undefined when it has none. It is taken: there is no second time. */
export function wholeBody({ request, incoming }: Exchange): Buffer | undefined {
  if (request.length === "none") return undefined;
  const chunks: Uint8Array[] = [];
  for (let chunk = incoming.take(); chunk !== undefined; chunk = incoming.take()) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Sends a request that `isWhole`. */
export function sendWhole(pool: Pool, call: Call, body: Buffer | undefined): void {
  const { answer, path } = call;
  const { request } = call.exchange;
  const headers = requestFields(request, call);
  // With a body undici repeats the header itself; without one it says `Content-Length: 0` where the method asks for it.
  if (body !== undefined) headers.push("content-length", String(body.length));
  // undici writes head and body at once.
  answer.sent = true;
  const handler = new Handler(answer, body);
  pool.dispatch({ method: request.method, path, headers, body: body ?? null }, handler);
}

/** undici's view of an `Answer`. */
class Handler implements Dispatcher.DispatchHandler {
  readonly #answer: Answer;
  readonly #body: Buffer | undefined;

  constructor(answer: Answer, body: Buffer | undefined) {
    this.#answer = answer;
    this.#body = body;
  }

  /** Called when a connection is there and before anything is written to it. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#answer.connect();
    if (this.#body !== undefined) this.#answer.asked(this.#body);
    this.#answer.attach({
      pause: () => controller.pause(),
      resume: () => controller.resume(),
      destroy: (error) => controller.abort(error),
    });
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    reason?: string,
  ): void {
    // Interim answers belong to this hop; the final one follows.
    if (status < 200) return;
    this.#answer.head(status, reason ?? "", rawFields(controller.rawHeaders));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#answer.data(chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.#answer.end(rawFields(controller.rawTrailers));
    this.#answer.closed();
  }

  /** Called for whatever ends a request early, also for an `abort()`, and for one that never got a connection. */
  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#answer.broke(error);
    this.#answer.closed();
  }
}

/** HTTP/1.1 gives fields as a flat list of bytes. */
function rawFields(raw: Dispatcher.DispatchController["rawHeaders"]): string[] {
  return Array.isArray(raw) ? fieldsFromWire(raw) : [];
}
