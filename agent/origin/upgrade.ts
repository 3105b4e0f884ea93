/**
 * A visitor's WebSocket at the origin: the upgrade by node:http, and then bytes both ways, whatever they mean.
 *
 * The edge speaks WebSocket; here it is only checked that the origin does too.
 */
import { createHash, randomBytes } from "node:crypto";
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Exchange } from "../../codec/exchange.ts";
import type { Answer } from "./answer.ts";
import type { Call } from "./call.ts";
import type { OriginAddress } from "../config/config.ts";
import { faultReason } from "./fault.ts";
import { fieldsFromWire, fromWire, requestFields } from "./fields.ts";
import type { OriginTls } from "./origin-tls.ts";
import { onConnected, relay, requestTo } from "./streaming.ts";

/** RFC 6455 section 1.3. */
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Asks the origin for a WebSocket. */
export function sendUpgrade(address: OriginAddress, tls: OriginTls, call: Call): void {
  const { exchange, answer } = call;
  const key = randomBytes(16).toString("base64");
  const request = open(address, tls, call, key);
  let socket: Duplex | undefined;
  let refusal: IncomingMessage | undefined;
  answer.attach({
    pause: () => (socket ?? refusal)?.pause(),
    resume: () => (socket ?? refusal)?.resume(),
    destroy: (error) => {
      socket?.destroy();
      request.destroy(error);
    },
  });
  onConnected(request, address, () => answer.connect());
  request.on("error", (error) => answer.broke(error));
  // An origin that wants no WebSocket says so with an answer like any other.
  request.on("response", (message) => {
    refusal = message;
    relay(message, answer);
  });
  request.on("upgrade", (message, upgraded: Duplex, first: Buffer) => {
    socket = upgraded;
    if (message.headers["sec-websocket-accept"] !== acceptOf(key)) {
      answer.fail(
        "origin-invalid",
        "the origin's answer to the upgrade is not that of a WebSocket",
      );
      return;
    }
    answer.upgraded(fromWire(message.statusMessage ?? ""), fieldsFromWire(message.rawHeaders));
    if (first.length > 0) answer.data(first);
    upgraded.on("data", (chunk: Buffer) => answer.data(chunk));
    upgraded.on("end", () => answer.end([]));
    upgraded.on("error", (error) => answer.fail("origin-reset", faultReason(error)));
    upgraded.on("close", () => answer.closed());
    void pump(exchange, upgraded, answer);
  });
  request.on("close", () => {
    if (socket === undefined) answer.closed();
  });
  request.end();
}

function open(address: OriginAddress, tls: OriginTls, call: Call, key: string): ClientRequest {
  const headers = requestFields(call.exchange.request, call);
  headers.push("connection", "Upgrade", "upgrade", "websocket");
  headers.push("sec-websocket-version", "13", "sec-websocket-key", key);
  return requestTo(address, call, { ...tls, agent: false, method: "GET", headers });
}

function acceptOf(key: string): string {
  return createHash("sha1")
    .update(key + ACCEPT_SUFFIX)
    .digest("base64");
}

/** Writes what the visitor sends, at the pace of the origin's socket. */
async function pump({ incoming }: Exchange, socket: Duplex, answer: Answer): Promise<void> {
  try {
    for await (const chunk of incoming) {
      answer.asked(chunk);
      if (!socket.write(chunk)) await drained(socket);
    }
    answer.sent = true;
    socket.end();
  } catch {
    // The exchange ended while we waited for more: whoever ended it has told the answer, which destroys the socket.
  }
}

/** Resolves when the socket took what was written, or is gone. */
function drained(socket: Duplex): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const go = (): void => {
      socket.off("drain", go);
      socket.off("close", go);
      resolve();
    };
    socket.on("drain", go);
    socket.on("close", go);
  });
}
