/**
 * Requests whose body is still on its way, by node:http: the head goes out at once, and the answer may begin, and end,
 * before the body has.
 *
 * See `whole.ts` for why there are two clients.
 */
import {
  type ClientRequest,
  type IncomingMessage,
  Agent as HttpAgent,
  request as httpRequest,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { Exchange } from "../codec/exchange.ts";
import { MAX_HEAD_BYTES } from "../codec/limits.ts";
import type { Answer } from "./answer.ts";
import type { OriginAddress } from "./config.ts";
import { clientFault, faultReason } from "./fault.ts";
import { fieldsFromWire, fromWire, requestFields } from "./fields.ts";
import { KEEP_ALIVE_MS } from "./whole.ts";

/** Kept connections for streaming requests. */
export function createAgent(address: OriginAddress): HttpAgent {
  const Kind = address.url.protocol === "https:" ? HttpsAgent : HttpAgent;
  return new Kind({ keepAlive: true, timeout: KEEP_ALIVE_MS });
}

/** Sends a request and its body as it arrives. Everything that happens is told to `answer`. */
export function sendStreaming(
  agent: HttpAgent,
  address: OriginAddress,
  exchange: Exchange,
  host: string,
  answer: Answer,
): void {
  const request = open(agent, address, exchange, host);
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
  request.on("socket", (socket: Socket) => {
    if (socket.connecting) {
      socket.once(address.url.protocol === "https:" ? "secureConnect" : "connect", connected);
    } else connected();
  });
  request.on("error", (error) => {
    answer.fail(clientFault(error, answer), faultReason(error));
  });
  request.on("response", (message) => {
    response = message;
    relay(message, answer);
  });
  request.on("close", () => answer.closed());
  // Connects, and puts the head on the wire without waiting for the body.
  request.flushHeaders();
}

function open(
  agent: HttpAgent,
  { url, socketPath }: OriginAddress,
  { request: head }: Exchange,
  host: string,
): ClientRequest {
  const { method, path, length } = head;
  const headers = requestFields(head, host);
  if (length === "unknown") headers.push("transfer-encoding", "chunked");
  else headers.push("content-length", String(length));
  const secure = url.protocol === "https:";
  return (secure ? httpsRequest : httpRequest)({
    agent,
    method,
    path,
    headers,
    setHost: false,
    maxHeaderSize: MAX_HEAD_BYTES,
    ...(socketPath === undefined
      ? { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port: url.port || (secure ? 443 : 80) }
      : { socketPath }),
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
  message.on("error", (error) => answer.fail(clientFault(error, answer), faultReason(error)));
}

/**
 * Writes the body as it arrives, at the pace of the origin's socket: a chunk's credit goes back when the next is taken.
 * When the answer is complete before the body, the rest is dropped.
 */
async function pump({ incoming }: Exchange, request: ClientRequest, answer: Answer): Promise<void> {
  try {
    for (;;) {
      const chunk = incoming.take();
      if (chunk !== undefined) {
        if (answer.over) continue;
        answer.bytesIn += chunk.length;
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
function drained(request: ClientRequest): Promise<void> {
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
