/**
 * A WebSocket to the edge as an agent opens it, but to the object that no visitor's request comes to: what measures does
 * not take part.
 *
 * It sends nothing of its own accord: silence is one of the things that are measured.
 */
import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { Budget } from "../../codec/budget.ts";
import { Dialer } from "../../codec/dialer.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { MAX_MESSAGE_BYTES, PROTOCOL, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import type { Transport } from "../../codec/transport.ts";
import { socketUrl } from "../config/config.ts";
import { newPlatform } from "../connection/platform.ts";
import { Unreachable } from "../connection/unreachable.ts";
import { faultReason } from "../origin/fault.ts";
import { SOFTWARE } from "../software.ts";
import { headline, textOf } from "./ask.ts";
import { sinceMs, WITHIN_MS } from "./check.ts";
import type { Scene } from "./scene.ts";

/** How much of a refusal's body is read. */
const REFUSAL_CHARS = 4096;

/** No more bytes wait for the socket: what is measured is the line, not our memory. */
const FULL_BYTES = 256 * 1024;

/** How the upgrade was answered. */
export type Opening =
  | { readonly kind: "open"; readonly socket: EdgeSocket; readonly ms: number }
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly headers: IncomingHttpHeaders;
      readonly says: string;
    }
  | { readonly kind: "mismatch" | "unreachable"; readonly says: string };

/** How a socket ended. */
export interface Closed {
  readonly code: number;
  readonly reason: string;
  /** What the system said, where there was no close frame. */
  readonly fault: string | undefined;
}

/** Never rejects. */
export async function openSocket(scene: Scene): Promise<Opening> {
  const url = socketUrl(scene.config);
  url.searchParams.set("shard", "probe");
  const startMs = performance.now();
  const { token } = scene.found;
  const ws = new WebSocket(url, [PROTOCOL], {
    agent: scene.reach.agent,
    headers: {
      // Without one, the edge's refusal tells what there is to know of the upgrade.
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      "sluice-agent": randomBytes(16).toString("base64url"),
    },
    handshakeTimeout: WITHIN_MS,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
  });
  const { promise, resolve } = Promise.withResolvers<Opening>();
  const socket = new EdgeSocket(ws);
  ws.on("open", () => resolve({ kind: "open", socket, ms: sinceMs(startMs) }));
  ws.on("unexpected-response", (_request, response: IncomingMessage) => {
    const { statusCode: status = 0, headers } = response;
    const late = setTimeout(() => response.destroy(), 2000);
    void textOf(response, REFUSAL_CHARS).then((body) => {
      clearTimeout(late);
      resolve({ kind: "refused", status, headers, says: headline(body) });
      ws.terminate();
    });
  });
  ws.on("error", (error) => {
    const kind = /subprotocol/.test(error.message) ? "mismatch" : "unreachable";
    const says = error instanceof Unreachable ? error.message : faultReason(error);
    resolve({ kind, says });
  });
  return promise;
}

export class EdgeSocket implements Transport {
  /** Settles when the socket is gone. */
  readonly closed: Promise<Closed>;
  /** Is given the requests that come. */
  serve: ((exchange: Exchange) => void) | undefined;
  readonly #ws: WebSocket;
  readonly #dialer: Dialer;
  readonly #greeted = Promise.withResolvers<void>();
  #fault: string | undefined;

  constructor(ws: WebSocket) {
    this.#ws = ws;
    this.#dialer = new Dialer({
      platform: newPlatform(),
      introduction: {
        maxStreams: 8,
        credit: REQUEST_CREDIT_BYTES,
        grace: 0,
        software: `${SOFTWARE} doctor`,
      },
      budget: new Budget(),
      accept: (exchange) => {
        if (this.serve === undefined) exchange.cancel("draining");
        else this.serve(exchange);
      },
      connected: () => this.#greeted.resolve(),
      draining: () => {},
    });
    const { promise, resolve } = Promise.withResolvers<Closed>();
    this.closed = promise;
    ws.on("message", (data: Buffer) => this.#dialer.receive(this, data));
    ws.on("error", (error) => (this.#fault ??= faultReason(error)));
    ws.on("close", (code, reason) => {
      this.#dialer.lost(this, code, reason.toString());
      resolve({ code, reason: reason.toString(), fault: this.#fault });
    });
  }

  /** Says HELLO. Resolves to how long the answer took; to undefined when none came, or the socket ended. */
  async greet(): Promise<number | undefined> {
    const startMs = performance.now();
    this.#dialer.open(this);
    const greeted = this.#greeted.promise.then(() => true);
    const came = await Promise.race([greeted, this.closed.then(() => false), after(WITHIN_MS)]);
    return came ? sinceMs(startMs) : undefined;
  }

  /** A ping of the WebSocket. Resolves to how long its pong took; to undefined when none came, or the socket ended. */
  async ping(withinMs: number): Promise<number | undefined> {
    if (this.#ws.readyState !== WebSocket.OPEN) return undefined;
    const startMs = performance.now();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const heard = (): void => resolve(true);
    this.#ws.once("pong", heard);
    this.#ws.ping();
    const came = await Promise.race([promise, this.closed.then(() => false), after(withinMs)]);
    this.#ws.off("pong", heard);
    return came ? sinceMs(startMs) : undefined;
  }

  get full(): boolean {
    return this.#ws.bufferedAmount >= FULL_BYTES;
  }

  send(message: Uint8Array): void {
    this.#ws.send(message, { binary: true }, () => this.#dialer.session?.flush());
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, reason);
  }

  /** Leaves, and does not wait for an answer. */
  leave(): void {
    this.#dialer.end("shutting-down", "measured");
    setTimeout(() => this.#ws.terminate(), 1000).unref();
  }
}

async function after(ms: number): Promise<false> {
  const { promise, resolve } = Promise.withResolvers<false>();
  setTimeout(() => resolve(false), ms).unref();
  return promise;
}
