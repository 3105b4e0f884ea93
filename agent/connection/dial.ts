/**
 * One WebSocket's life: upgrade, messages both ways, signs of life, end. It is the transport of a dialer's session for as
 * long as it lasts.
 *
 * It never dials again (`connection.ts` does) and never looks into a message.
 */
import type { Agent as HttpAgent, IncomingMessage } from "node:http";
import { type ClientOptions, WebSocket } from "ws";
import type { Dialer } from "../../codec/dialer.ts";
import { type ErrorCode, errorCodeOf } from "../../codec/errors.ts";
import { isHeaderValue } from "../../codec/headers.ts";
import { MAX_MESSAGE_BYTES, PROTOCOL } from "../../codec/limits.ts";
import type { Transport } from "../../codec/transport.ts";
import { retryAfterMs } from "./backoff.ts";
import { isLoopback } from "../config/loopback.ts";
import type { Visitors } from "../events.ts";
import { faultReason } from "../origin/fault.ts";
import { ProxyUnauthorized, Unreachable } from "./unreachable.ts";

/** How long the upgrade, and then the edge's HELLO, may take. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Proxies and Cloudflare drop what is idle for 100 s. A protocol ping costs the edge nothing: it wakes no object. */
export const IDLE_PING_MS = 20_000;

/** While requests are in flight a dead connection has to be noticed well within the edge's grace. */
const BUSY_PING_MS = 5000;

/** A ping that nothing answers for this long means that the connection is dead, though nobody said so. */
const PONG_WITHIN_MS = 5000;

/** The session stops handing over messages while this many bytes wait for the socket: what waits here can no longer be reordered. */
const FULL_BYTES = 256 * 1024;

/** How much of a refusal's body is read: the edge's are one sentence. */
const REFUSAL_BYTES = 2048;

/** ws has the option since 8.19; its types lack it. */
type SocketOptions = ClientOptions & { readonly closeTimeout: number };

export interface DialOptions {
  /** ws: or wss:, the edge's route for agents of the service. */
  readonly url: URL;
  readonly token: string;
  /** How the edge is reached (`reach.ts`); directly when undefined. */
  readonly httpAgent?: HttpAgent;
  /** Tells this process from others that use the same token: the newest connection with an id takes the place of the one before. */
  readonly id: string;
  /** Whether this agent is to take over from all others of the service. */
  readonly replace: boolean;
  /** A ping was answered after so long. It costs nobody anything: the edge's runtime answers without waking an object. */
  readonly measured: (rttMs: number) => void;
  /** Told what no peer is to blame for. */
  readonly faulty: (error: unknown) => void;
  /** Greets on the socket, and has the session that it carries. */
  readonly dialer: Dialer;
}

/** How a dial ended. */
export type Ending =
  /** The edge answered the upgrade with something else. */
  | {
      readonly kind: "refused";
      readonly status: number;
      /** The edge's `sluice-error`, if the edge it was. */
      readonly code: string | undefined;
      readonly says: string;
      readonly retryAfterMs: number | undefined;
    }
  /** What is there does not speak our version of the protocol. */
  | { readonly kind: "mismatch"; readonly says: string }
  /** No WebSocket came to be. `unauthorized`: a proxy on the way wants credentials, or other ones. */
  | { readonly kind: "unreachable"; readonly says: string; readonly unauthorized?: true }
  /** The WebSocket came to be, and is gone. */
  | { readonly kind: "lost"; readonly code: ErrorCode; readonly note: string };

export class Dial implements Transport {
  /** Settles when the connection is of no more use. Never rejects. */
  readonly ended: Promise<Ending>;
  /** Settles when the socket is gone: the edge has read all that was sent and answered our close, or did not in time. Never rejects. */
  readonly closed: Promise<void>;
  readonly #ws: WebSocket;
  readonly #options: DialOptions;
  readonly #dialer: Dialer;
  readonly #settle: (ending: Ending) => void;
  readonly #timers: NodeJS.Timeout[] = [];
  #pingedMs = performance.now();
  #pings = 0;
  /** What the latest ping holds, until it is answered. */
  #pinged: string | undefined;
  #pongDue: NodeJS.Timeout | undefined;
  /** What went wrong, for the close event, which itself says little. */
  #fault: { readonly code: number; readonly note: string } | undefined;
  #opened = false;
  #visitors: Visitors | undefined;
  #wasFull = false;

  constructor(options: DialOptions) {
    this.#options = options;
    this.#dialer = options.dialer;
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ended = promise;
    this.#settle = (ending) => {
      for (const timer of this.#timers) clearInterval(timer);
      clearTimeout(this.#pongDue);
      resolve(ending);
    };
    this.#ws = this.#open();
    this.closed = new Promise((resolve) => this.#ws.once("close", () => resolve()));
  }

  /** Whom the edge lets in, as its answer to the upgrade says; undefined when it does not. */
  get visitors(): Visitors | undefined {
    return this.#visitors;
  }

  /** Gives the connection up at once, as if it had broken: what is in flight may go on over the next one. */
  abandon(note: string): void {
    this.#fault ??= { code: 1006, note };
    this.#ws.terminate();
  }

  /** What the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#ws.bufferedAmount;
  }

  get full(): boolean {
    const full = this.#ws.bufferedAmount >= FULL_BYTES;
    this.#wasFull ||= full;
    return full;
  }

  send(message: Uint8Array): void {
    this.#ws.send(message, { binary: true }, () => this.#onSent());
  }

  close(code: number, reason: string): void {
    this.#fault ??= { code, note: reason };
    // While the upgrade is under way ws has nothing to close in an orderly way.
    if (this.#ws.readyState === WebSocket.CONNECTING) this.#ws.terminate();
    else this.#ws.close(code, reason);
  }

  #open(): WebSocket {
    const { url, token, id, replace, httpAgent } = this.#options;
    const secure = url.protocol === "wss:";
    const options: SocketOptions = {
      headers: {
        authorization: `Bearer ${token}`,
        "sluice-agent": id,
        ...(replace ? { "sluice-replace": "1" } : {}),
      },
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      closeTimeout: 5000,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      ...(httpAgent === undefined ? {} : { agent: httpAgent }),
      ...(secure || isLoopback(url) ? { generateMask: zeroMask } : {}),
    };
    const ws = new WebSocket(url, [PROTOCOL], options);
    ws.on("upgrade", ({ headers }) => {
      const said = headers["sluice-visitors"];
      if (said === "public" || said === "token") this.#visitors = said;
    });
    ws.on("open", () => this.#onOpen());
    ws.on("message", (data: Buffer, isBinary) => {
      this.#heard();
      this.#receive(data, isBinary);
    });
    ws.on("pong", (data) => {
      this.#heard();
      this.#onPong(data.toString());
    });
    ws.on("error", (error) => this.#onError(error));
    ws.on("unexpected-response", (_request, response) => void this.#onRefusal(response));
    ws.on("close", (code, reason) => this.#onClose(code, reason.toString()));
    return ws;
  }

  #onOpen(): void {
    this.#opened = true;
    this.#dialer.open(this);
    const look = setInterval(() => this.#look(), BUSY_PING_MS);
    const helloDue = setTimeout(() => {
      if (!this.#dialer.greeted) this.abandon("the edge opened the connection and said nothing");
    }, HANDSHAKE_TIMEOUT_MS);
    this.#timers.push(look, helloDue);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (!isBinary) {
      this.#dialer.end("protocol-error", "a text message");
      return;
    }
    try {
      this.#dialer.receive(this, data);
    } catch (error) {
      // A fault of our own has ended the session. The tunnel lives on: another session begins.
      this.#options.faulty(error);
      this.#dialer.end("internal-error", "");
    }
  }

  /** Asks for a sign of life when it is time to. */
  #look(): void {
    if (this.#dialer.session?.tick() === false) this.abandon("the edge stopped answering");
    const now = performance.now();
    const idle = this.#dialer.streams === 0;
    if (this.#pongDue !== undefined || (idle && now - this.#pingedMs < IDLE_PING_MS)) return;
    this.#pingedMs = now;
    this.#pinged = String(++this.#pings);
    this.#ws.ping(this.#pinged);
    this.#pongDue = setTimeout(
      () => this.abandon(`no sign of life within ${PONG_WITHIN_MS / 1000} s`),
      PONG_WITHIN_MS,
    );
  }

  /** The socket took bytes: the peer reads, or the kernel still has room. */
  #onSent(): void {
    if (!this.#wasFull || this.#ws.bufferedAmount >= FULL_BYTES) return;
    this.#wasFull = false;
    this.#heard();
    this.#dialer.session?.flush();
  }

  #heard(): void {
    if (this.#pongDue === undefined) return;
    clearTimeout(this.#pongDue);
    this.#pongDue = undefined;
  }

  /** The answer to an earlier ping, and one that comes twice, tell nothing. */
  #onPong(holds: string): void {
    if (holds !== this.#pinged) return;
    this.#pinged = undefined;
    if (this.#dialer.greeted) this.#options.measured(performance.now() - this.#pingedMs);
  }

  #onError(error: Error & { readonly code?: string }): void {
    if (/subprotocol/.test(error.message)) {
      this.#settle({
        kind: "mismatch",
        says: `What answers at ${this.#options.url.host} does not speak ${PROTOCOL}: ${error.message}.`,
      });
    }
    if (error instanceof ProxyUnauthorized) {
      this.#settle({ kind: "unreachable", says: error.message, unauthorized: true });
    }
    // The sentences of what lies between are for people, and never sent.
    const note = error instanceof Unreachable ? error.message : faultReason(error);
    // It would be sent again on the next connection, and again be too large.
    if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") {
      this.#dialer.end("frame-too-large", note);
    }
    this.#fault ??= { code: 1006, note };
  }

  async #onRefusal(response: IncomingMessage): Promise<void> {
    const { statusCode: status = 0, headers } = response;
    const said = headers["sluice-error"];
    const after = headers["retry-after"];
    const says = firstLine(await readSome(response));
    this.#settle({
      kind: "refused",
      status,
      code: typeof said === "string" ? said : undefined,
      says: says === "" ? `The edge answered ${status}.` : says,
      retryAfterMs: after === undefined ? undefined : retryAfterMs(after, Date.now()),
    });
    this.#ws.terminate();
  }

  #onClose(code: number, reason: string): void {
    const fault = this.#fault ?? { code, note: closeNote(code, reason) };
    this.#dialer.lost(this, fault.code, fault.note);
    if (!this.#opened) {
      this.#settle({ kind: "unreachable", says: fault.note });
      return;
    }
    this.#settle({
      kind: "lost",
      code: errorCodeOf(fault.code - 4000) ?? "agent-lost",
      note: fault.note,
    });
  }
}

/**
 * A masking key of zeros, for which ws neither copies nor masks: a third of the CPU of a bulk transfer.
 *
 * Masking keeps scripts of web pages from choosing the bytes that a proxy on the way sees in the clear (RFC 6455
 * section 10.3). No page scripts this client, and TLS, or the absence of a network, hides the bytes: it is used for
 * wss: and for loopback only.
 */
function zeroMask(key: Buffer): void {
  key.fill(0);
}

function closeNote(code: number, reason: string): string {
  if (reason !== "") return reason;
  // 1006 is ws's own word for a connection that ended without a close frame.
  return code === 1006 ? "the connection broke" : `closed with code ${code}`;
}

/** The beginning of a body, as far as it comes within a moment. */
async function readSome(response: IncomingMessage): Promise<string> {
  const deadline = setTimeout(() => response.destroy(), 2000);
  let text = "";
  try {
    response.setEncoding("utf8");
    for await (const chunk of response) {
      text += String(chunk);
      if (text.length >= REFUSAL_BYTES) break;
    }
  } catch {
    // A cut body: what came of it will do.
  }
  clearTimeout(deadline);
  return text;
}

/** One line for a person, if it is one: a proxy's HTML page is not. */
function firstLine(body: string): string {
  const line = body.trim().split("\n", 1)[0]?.trim() ?? "";
  return line.length <= 300 && isHeaderValue(line) && !line.startsWith("<") ? line : "";
}
