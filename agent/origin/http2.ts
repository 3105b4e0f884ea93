/**
 * An origin that speaks HTTP/2 and nothing else, by node:http2: one connection, bodies streaming both ways, each stream
 * with its own window.
 *
 * HTTP/1.1 is what the other clients speak, for WebSockets too; this one is for origins that leave no choice.
 */
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { HeaderList } from "../../codec/frame.ts";
import type { Call } from "./call.ts";
import type { OriginAddress } from "../config/config.ts";
import { fieldsFromWire, requestFields } from "./fields.ts";
import { type OriginTls, serverName } from "./origin-tls.ts";
import { pump } from "./streaming.ts";

/** What the origin may send on one stream before the tunnel has taken it. */
const WINDOW_BYTES = 256 * 1024;

export class Http2 {
  readonly #address: OriginAddress;
  readonly #tls: OriginTls;
  /** The most requests at once: the connection's window holds the windows of all, so that none waits for another. */
  readonly #streams: number;
  #session: ClientHttp2Session | undefined;

  constructor(address: OriginAddress, tls: OriginTls, streams: number) {
    this.#address = address;
    this.#tls = tls;
    this.#streams = streams;
  }

  /** @param body the request's whole body, or undefined when it has none or is on its way */
  send(call: Call, body: Buffer | undefined): void {
    const { answer } = call;
    const session = this.#open(call.host);
    const refused = (error: Error): void => {
      answer.broke(error);
      answer.closed();
    };
    const begin = (): void => {
      session.off("error", refused);
      if (answer.over) {
        answer.closed();
        return;
      }
      try {
        start(session, call, body);
      } catch (error) {
        // HTTP/2 allows less than HTTP/1.1: a Content-Type, for one, only once.
        answer.fail("bad-request", error instanceof Error ? error.message : String(error));
        answer.closed();
      }
    };
    if (!session.connecting) begin();
    else session.once("connect", begin).once("error", refused);
  }

  close(): void {
    this.#session?.destroy();
  }

  #open(host: string): ClientHttp2Session {
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed) {
      return this.#session;
    }
    const { url } = this.#address;
    const secure = url.protocol === "https:";
    const session = connect(url, {
      ...this.#tls,
      ...(secure ? { servername: serverName(host) } : {}),
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
      // MB: what is buffered for streams that the tunnel does not take yet counts.
      maxSessionMemory: 64 + Math.ceil((this.#streams * WINDOW_BYTES) / 2 ** 20),
    });
    session.once("connect", () => session.setLocalWindowSize(this.#streams * WINDOW_BYTES));
    // All requests that wait for the connection listen to it.
    session.setMaxListeners(0);
    // Each stream has its own error.
    session.on("error", () => {});
    session.once("close", () => {
      if (this.#session === session) this.#session = undefined;
    });
    // A kept connection does not keep the process.
    session.unref();
    this.#session = session;
    return session;
  }
}

function start(session: ClientHttp2Session, call: Call, body: Buffer | undefined): void {
  const { exchange, answer } = call;
  const { length } = exchange.request;
  // Not stream.close(): that ends the body well before it resets the stream.
  const cut = new AbortController();
  const stream = session.request(headersOf(call, body), {
    endStream: length === "none" || body?.length === 0,
    signal: cut.signal,
  });
  answer.attach({
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    destroy: () => cut.abort(),
  });
  answer.connect();
  let trailers: HeaderList = [];
  stream.on("response", (headers, _flags, raw: readonly string[]) => {
    answer.head(headers[":status"] ?? 0, "", fieldsFromWire(withoutPseudo(raw)));
  });
  stream.on("data", (chunk: Buffer) => answer.data(chunk));
  stream.on("trailers", (_headers, _flags, raw?: readonly string[]) => {
    trailers = fieldsFromWire(withoutPseudo(raw ?? []));
  });
  stream.on("end", () => {
    // A stream whose connection was lost ends too; only its code says so.
    if ((stream.rstCode ?? 0) === constants.NGHTTP2_NO_ERROR) answer.end(trailers);
  });
  stream.on("error", (error) => answer.broke(error));
  stream.on("close", () => answer.closed());
  sendBody(stream, call, body);
}

function sendBody(stream: ClientHttp2Stream, call: Call, body: Buffer | undefined): void {
  const { exchange, answer } = call;
  if (exchange.request.length === "none") answer.sent = true;
  else if (body === undefined) void pump(exchange, stream, answer);
  else {
    answer.asked(body);
    if (body.length > 0) stream.end(body);
    answer.sent = true;
  }
}

/** Names in lower case, repeated ones with all their values (RFC 9113 section 8.2); `Host` is `:authority`. */
function headersOf(call: Call, body: Buffer | undefined): OutgoingHttpHeaders {
  const { path, host } = call;
  const { request } = call.exchange;
  const headers = Object.create(null) as Record<string, string | string[]>;
  headers[":method"] = request.method;
  headers[":path"] = path;
  headers[":authority"] = host;
  const [, , ...fields] = requestFields(request, call);
  const length = body?.length ?? request.length;
  if (typeof length === "number") fields.push("content-length", String(length));
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    const value = fields[i + 1] as string;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else headers[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  return headers;
}

function withoutPseudo(raw: readonly string[]): string[] {
  const fields: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    if (!name.startsWith(":")) fields.push(name, raw[i + 1] as string);
  }
  return fields;
}
