/**
 * Requests whose body is still on its way, by node:http: the head goes out at once, and the answer may begin, and end,
 * before the body has.
 *
 * See `whole.ts` for why there are two clients.
 */
import {
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  Agent as HttpAgent,
  request as httpRequest,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import type { Exchange } from "../../codec/exchange.ts";
import { MAX_HEAD_BYTES } from "../../codec/limits.ts";
import type { Answer } from "./answer.ts";
import type { Call } from "./call.ts";
import type { OriginAddress } from "../config/config.ts";
import { fieldsFromWire, fromWire, requestFields } from "./fields.ts";
import { type OriginTls, serverName } from "./origin-tls.ts";
import { KEEP_ALIVE_MS } from "./whole.ts";

/** Kept connections for streaming requests. */
export function createAgent(address: OriginAddress, tls: OriginTls): HttpAgent {
  const kept = { keepAlive: true, timeout: KEEP_ALIVE_MS };
  return address.url.protocol === "https:"
    ? new HttpsAgent({ ...kept, ...tls })
    : new HttpAgent(kept);
}

/**
 * Sends a request and its body as it arrives.
 * @param agent false for a connection of its own
 */
export function sendStreaming(agent: HttpAgent | false, address: OriginAddress, call: Call): void {
  const { exchange, answer } = call;
  const request = open(agent, address, call);
  let response: IncomingMessage | undefined;
  answer.attach({
    pause: () => response?.pause(),
    resume: () => response?.resume(),
    destroy: (error) => request.destroy(error),
  });
  const connected = (): void => {
    answer.connect();
    void pump(exchange, request, answer);
  };
  onConnected(request, address, connected);
  request.on("error", (error) => answer.broke(error));
  request.on("response", (message) => {
    response = message;
    relay(message, answer);
  });
  request.on("close", () => answer.closed());
  // Connects, and puts the head on the wire without waiting for the body.
  request.flushHeaders();
}

function open(agent: HttpAgent | false, address: OriginAddress, call: Call): ClientRequest {
  const { request: head } = call.exchange;
  const headers = requestFields(head, call);
  if (head.length === "unknown") headers.push("transfer-encoding", "chunked");
  else if (typeof head.length === "number") headers.push("content-length", String(head.length));
  const { method } = head;
  return requestTo(address, call, { agent, method, headers });
}

/** Opens a request to the address by node:http, sending nothing but what `options` say. */
export function requestTo(
  { url, socketPath }: OriginAddress,
  { path, host }: Pick<Call, "path" | "host">,
  options: RequestOptions,
): ClientRequest {
  const secure = url.protocol === "https:";
  return (secure ? httpsRequest : httpRequest)({
    ...options,
    path,
    setHost: false,
    maxHeaderSize: MAX_HEAD_BYTES,
    // Without a word on protocols, a server that speaks only HTTP/2 answers something that is neither.
    ...(secure ? { servername: serverName(host), ALPNProtocols: ["http/1.1"] } : {}),
    ...(socketPath === undefined
      ? { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port: url.port || (secure ? 443 : 80) }
      : { socketPath }),
  });
}

/** Calls `then` when a connection is there and before anything is written to it. */
export function onConnected(
  request: ClientRequest,
  { url }: OriginAddress,
  then: () => void,
): void {
  request.on("socket", (socket: Socket) => {
    if (socket.connecting) {
      socket.once(url.protocol === "https:" ? "secureConnect" : "connect", then);
    } else then();
  });
}

/** Passes an answer on as it comes. */
export function relay(message: IncomingMessage, answer: Answer): void {
  answer.head(
    message.statusCode ?? 0,
    fromWire(message.statusMessage ?? ""),
    fieldsFromWire(message.rawHeaders),
  );
  message.on("data", (chunk: Buffer) => answer.data(chunk));
  message.on("end", () => answer.end(fieldsFromWire(message.rawTrailers)));
  message.on("error", (error) => answer.broke(error));
}

/**
 * Writes the body as it arrives, at the pace of the origin's socket: a chunk's credit goes back when the next is taken.
 * When the answer is complete before the body, the rest is dropped.
 */
export async function pump(
  { incoming }: Exchange,
  request: Writable,
  answer: Answer,
): Promise<void> {
  try {
    for (;;) {
      const chunk = incoming.take();
      if (chunk !== undefined) {
        if (answer.over) continue;
        answer.asked(chunk);
        const took = request.write(chunk);
        answer.expectHead();
        if (!took) await drained(request);
      } else if (incoming.ended) {
        if (answer.over) return;
        request.end(() => (answer.sent = true));
        answer.expectHead();
        return;
      } else {
        answer.expectVisitor();
        await incoming.ready();
      }
    }
  } catch {
    // The exchange ended while we waited for more: whoever ended it has told the answer, which destroys the request.
  }
}

/** Resolves when the socket took what was written, or is gone. */
function drained(request: Writable): Promise<void> {
  if (request.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const go = (): void => {
      request.off("drain", go);
      request.off("close", go);
      resolve();
    };
    request.on("drain", go);
    request.on("close", go);
  });
}
