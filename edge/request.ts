/**
 * A visitor's Request as the head and the body that travel to the agent.
 *
 * It never trusts what workerd has let through: framing is decided here from its own fields, and none of them crosses.
 * Which methods, targets and values are legal is the session's to say, when the exchange is opened.
 */
import { TunnelError } from "../codec/errors.ts";
import type { Exchange } from "../codec/exchange.ts";
import type { BodyLength, RequestHead } from "../codec/frame.ts";
import { crossing } from "../codec/headers.ts";
import { HEADROOM_BYTES, MAX_DATA_BYTES } from "../codec/limits.ts";
import { TIMING } from "../codec/timing-report.ts";
import type { Route } from "./route.ts";
import type { Tally } from "./totals.ts";
import type { Visit } from "./visit.ts";

/** The first read of a body: workerd's default reader gives 4 KiB at a time, at seven times the CPU. */
const READ_BYTES = 32 * 1024;

/** What reads grow to while each is filled: a message in one piece. A visitor who trickles never holds so much. */
const MOST_READ_BYTES = MAX_DATA_BYTES;

/** Reads smaller than this are copied so that their buffer can be used again: a trickle must not pin 64 KiB a byte. */
const SMALL_READ_BYTES = 16 * 1024;

/** What Cloudflare (`clientAcceptEncoding`) and workerd itself (`clientIp`) know of the visitor. */
interface Visitor {
  readonly clientAcceptEncoding?: unknown;
  readonly clientIp?: unknown;
}

/**
 * Names that a CGI-like origin (WSGI, PHP, Rack) cannot tell from those that the edge and Cloudflare set: all of `x-a`, `x_a` and
 * `X-A` is its `HTTP_X_A`.
 */
const LIKE_OURS = /^(?:sluice|x[-_]forwarded|cf)[-_]/;

/** Fields that are ours to use or to set, as the visitor sent them. */
interface Own {
  length?: string;
  upgrade?: string;
  coding?: string;
  host?: string;
  connectingIp?: string;
  forwardedFor?: string;
  forwardedProto?: string;
  timing?: string;
}

/** A request's head, and what only the edge has to know of it. */
export interface VisitorHead extends RequestHead {
  /** Whether the visitor wants to know what took how long: see `server-timing.ts`. */
  readonly timed: boolean;
}

/**
 * The head of `request` for the origin.
 * @throws TunnelError `bad-request` when the framing is contradictory or illegal.
 */
export function requestHead(request: Request, route: Route & { kind: "send" }): VisitorHead {
  const visitor = (request.cf ?? {}) as Visitor;
  const accepted = visitor.clientAcceptEncoding;
  const received: string[] = [];
  const own: Own = {};
  // One walk over the fields: each `get()` would be a call into the runtime.
  // oxlint-disable-next-line unicorn/no-array-for-each -- for-of makes the runtime wrap an iterator for each request
  request.headers.forEach((value, name) => {
    switch (name) {
      case "content-length":
        own.length = value;
        break;
      case "transfer-encoding":
        own.coding = value;
        break;
      case "upgrade":
        own.upgrade = value;
        break;
      // Each WebSocket has its own; the edge speaks no extension.
      case "sec-websocket-key":
      case "sec-websocket-version":
      case "sec-websocket-extensions":
        break;
      // The edge answers 100-continue itself, when the body is first read.
      case "expect":
      case "x-forwarded-host":
      case "x-forwarded-prefix":
        break;
      case "x-forwarded-for":
        own.forwardedFor = value;
        break;
      case "x-forwarded-proto":
        own.forwardedProto = value;
        break;
      case "host":
        own.host = value;
        break;
      case "accept-encoding":
        // Cloudflare rewrites the field and keeps the visitor's own here: the origin must not see offers nobody made.
        if (typeof accepted !== "string") received.push(name, value);
        break;
      case "cookie":
        received.push(name, rejoinedCookies(value));
        break;
      case TIMING:
        own.timing = value;
        break;
      case "cf-connecting-ip":
        own.connectingIp = value;
        received.push(name, value);
        break;
      default:
        if (name.includes("_") && LIKE_OURS.test(name)) break;
        received.push(name, value);
    }
  });
  // workerd builds the URL from it: a slash would move the path that was routed.
  if (own.host !== undefined && /[/?#@\\\s]/.test(own.host)) {
    throw new TunnelError("bad-request", "host");
  }
  const length = isSocket(own, request) ? "socket" : bodyLength(own, request);
  const crossed = crossing(received);
  // Added behind crossing(): a visitor's `Connection: x-forwarded-for` must not remove them.
  if (typeof accepted === "string" && accepted !== "") crossed.push("accept-encoding", accepted);
  addForwarded(crossed, own, request.url, visitor, route.prefix);
  const timed = own.timing === "1";
  if (timed) crossed.push(TIMING, "1");
  return { method: request.method, path: route.target, headers: crossed, length, timed };
}

/** Whether the visitor asks for a WebSocket; any other upgrade is ignored, as RFC 9110 section 7.8 allows. */
function isSocket({ upgrade }: Own, { method }: Request): boolean {
  return method === "GET" && upgrade?.toLowerCase() === "websocket";
}

/** How the body is framed (RFC 9112 section 6.3), with everything ambiguous refused: two readers could read it in two ways. */
function bodyLength({ length, coding }: Own, request: Request): BodyLength {
  if (coding !== undefined && (length !== undefined || coding.toLowerCase() !== "chunked")) {
    throw new TunnelError("bad-request", "transfer-encoding");
  }
  if (length === undefined) return request.body === null ? "none" : "unknown";
  // Repeated fields arrive as "5, 5": refused with all else that is not one plain number.
  if (!/^[0-9]{1,15}$/.test(length)) throw new TunnelError("bad-request", "content-length");
  return Number(length);
}

/**
 * workerd joins several Cookie fields with ", ", where RFC 9113 section 8.2.3 wants "; ", and does not say that it did.
 * A comma or a blank is illegal in a cookie's value (RFC 6265 section 4.1.1), so ", name=" is such a joint, unless
 * somebody quotes: then the field is left alone.
 */
function rejoinedCookies(value: string): string {
  if (!value.includes(", ") || value.includes('"')) return value;
  return value.replaceAll(/, (?=[!#$%&'*+\-.^_`|~0-9A-Za-z]+=)/g, "; ");
}

/** What the origin cannot see itself: who asks, by which name, and what was cut off its path. */
function addForwarded(
  crossed: string[],
  own: Own,
  url: string,
  visitor: Visitor,
  prefix: string,
): void {
  // workerd knows the socket's address; on Cloudflare, which does not say it there, the field is set by Cloudflare.
  const path =
    typeof visitor.clientIp === "string"
      ? [own.forwardedFor, withoutPort(visitor.clientIp)].filter(Boolean).join(", ")
      : withVisitor(own.forwardedFor, own.connectingIp);
  if (path) crossed.push("x-forwarded-for", path);
  // Never the visitor's own x-forwarded-host: password-reset links and caches are poisoned with it.
  const host = own.host ?? url.slice(url.indexOf("://") + 3).split("/", 1)[0];
  if (host) crossed.push("x-forwarded-host", host);
  // A proxy with TLS in front of a self-hosted edge knows better than we do.
  const known = own.forwardedProto === "https" || own.forwardedProto === "http";
  const proto = known ? own.forwardedProto : undefined;
  crossed.push("x-forwarded-proto", proto ?? url.slice(0, url.indexOf(":")));
  if (prefix !== "") crossed.push("x-forwarded-prefix", prefix);
}

/** A path that ends with the visitor: Cloudflare itself appends it to one that is there ("Cloudflare HTTP headers"). */
function withVisitor(path: string | undefined, visitor: string | undefined): string | undefined {
  if (!path || !visitor) return path || visitor;
  const last = path.slice(path.lastIndexOf(",") + 1).trim();
  return last === visitor ? path : `${path}, ${visitor}`;
}

/** The address in "127.0.0.1:4711" or "[::1]:4711", as workerd writes them; anything else as it is. */
function withoutPort(peer: string): string {
  const found = /^(?:\[([0-9a-f:.%]+)\]|([0-9.]+)):[0-9]+$/i.exec(peer);
  return found?.[1] ?? found?.[2] ?? peer;
}

/**
 * Moves the request's body into the exchange, only as fast as the agent gives credit. Never throws: it ends when the
 * body is over, when the agent needs no more of it, or, cancelling the exchange, when the visitor cut it.
 */
export async function sendBody(
  body: ReadableStream<Uint8Array>,
  exchange: Exchange,
  tally: Tally,
  visit?: Visit,
): Promise<void> {
  const { outgoing, request } = exchange;
  outgoing.headroom = true;
  const reader = body.getReader({ mode: "byob" });
  // A read that waits for a slow visitor must not outlive the exchange.
  exchange.onCancel = () => void reader.cancel().catch(() => undefined);
  let leftBytes = typeof request.length === "number" ? request.length : Number.POSITIVE_INFINITY;
  let readBytes = Math.min(leftBytes, READ_BYTES);
  let buffer = new ArrayBuffer(HEADROOM_BYTES + readBytes);
  while (leftBytes > 0) {
    try {
      const room = outgoing.ready();
      await (visit === undefined ? room : visit.stalledUntil(room));
    } catch {
      // The exchange is over: whoever waits for the answer knows why.
      await reader.cancel().catch(() => undefined);
      return;
    }
    let read: ReadableStreamReadResult<Uint8Array>;
    try {
      read = await reader.read(new Uint8Array(buffer, HEADROOM_BYTES));
    } catch {
      // Unless we have cancelled the read ourselves: then the answer is good, and may still be on its way to the visitor.
      if (exchange.error === undefined) {
        exchange.cancel("cancelled", "the visitor cut the upload");
      }
      return;
    }
    if (read.value === undefined || read.done) break;
    const { value } = read;
    leftBytes -= value.byteLength;
    tally.fromVisitor(value.byteLength);
    if (value.byteLength < SMALL_READ_BYTES && leftBytes > 0) {
      outgoing.write(value.slice());
      buffer = value.buffer as ArrayBuffer;
    } else {
      outgoing.write(value);
      const wanted = value.byteLength === readBytes ? 2 * readBytes : READ_BYTES;
      readBytes = Math.min(leftBytes, Math.max(wanted, value.byteLength), MOST_READ_BYTES);
      buffer = new ArrayBuffer(HEADROOM_BYTES + readBytes);
    }
  }
  outgoing.end();
}
