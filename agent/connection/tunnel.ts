/** A connection through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6), and in words why the proxy would not. */
import { type IncomingMessage, request } from "node:http";
import { request as secureRequest } from "node:https";
import { isIP, type Socket } from "node:net";
import { getCACertificates } from "node:tls";
import { isHeaderValue } from "../../codec/headers.ts";
import type { HttpProxy, Login } from "./proxy.ts";
import { SOFTWARE } from "../software.ts";
import { ProxyUnauthorized, Unreachable } from "./unreachable.ts";

/** How much of a refusal is read: enough for the title of a page. */
const REFUSAL_BYTES = 4096;

/** What a proxy says after its head comes with it, or within this time. */
const REFUSAL_MS = 500;

/**
 * Bytes both ways between us and `target` (host and port).
 * @param ca PEM certificates that a proxy which is itself spoken to over TLS may have, beside those that Node knows
 * @throws Unreachable
 */
export async function tunnelThrough(
  proxy: HttpProxy,
  target: string,
  ca: string | undefined,
  deadline: AbortSignal,
): Promise<Socket> {
  const { host, port, login, label } = proxy;
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const asked = (proxy.secure ? secureRequest : request)({
    method: "CONNECT",
    host,
    port,
    path: target,
    agent: false,
    signal: deadline,
    // Not the name in `Host`, which is the edge's.
    servername: isIP(host) === 0 ? host : "",
    ...(ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] }),
    headers: {
      host: target,
      "user-agent": SOFTWARE,
      ...(login === undefined ? {} : { "proxy-authorization": basic(login) }),
    },
  });
  let connected = false;
  asked.on("socket", (socket) => {
    socket.once(proxy.secure ? "secureConnect" : "connect", () => (connected = true));
  });
  asked.on("error", (error: Error & { readonly code?: string }) => {
    if (deadline.aborted) {
      const what = connected ? `did not connect us to ${target}` : "did not answer";
      reject(new Unreachable(`${label} ${what} in time`));
    } else if (connected) {
      reject(new Unreachable(`${label} broke the connection off: ${error.message}`));
    } else {
      const why = error.message || error.code || "no connection";
      reject(new Unreachable(`${label} cannot be reached: ${why}`));
    }
  });
  asked.on("connect", (answer, socket: Socket, head) => {
    if (answer.statusCode === 200) {
      // The edge speaks second; some proxies send what came with their own answer all the same.
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
      return;
    }
    socket.on("error", () => {});
    void readSome(socket, head).then((body) => {
      socket.destroy();
      reject(refusal(proxy, target, answer, body));
    });
  });
  asked.end();
  return promise;
}

/** RFC 7617. */
function basic({ user, password }: Login): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function refusal(
  proxy: HttpProxy,
  target: string,
  { statusCode = 0, statusMessage = "", headers }: IncomingMessage,
  body: string,
): Unreachable {
  const { label, variable, login } = proxy;
  const answer = `${statusCode} ${words(body) || statusMessage}`.trim();
  // tinyproxy says 401 where it means 407, to credentials that are wrong.
  if (statusCode === 407 || (statusCode === 401 && login !== undefined)) {
    const offered = String(headers["proxy-authenticate"] ?? "");
    if (offered !== "" && !/\bbasic\b/i.test(offered)) {
      return new ProxyUnauthorized(
        `${label} wants a login that Sluice does not speak (407, ${JSON.stringify(offered.slice(0, 60))}): run a proxy on this machine that does (px or cntlm), and name that in ${variable}`,
      );
    }
    return new ProxyUnauthorized(
      login === undefined
        ? `${label} wants credentials (407): put them into ${variable}, as in http://user:password@proxy.example:3128`
        : `${label} refuses the credentials that ${variable} holds (${statusCode}): correct them there`,
    );
  }
  if (statusCode >= 500) {
    return new Unreachable(`${label} cannot reach ${target} itself: ${answer}`);
  }
  return new Unreachable(
    `${label} refuses to connect to ${target}: ${answer}; whoever runs it must allow CONNECT to there (or name the host in NO_PROXY if it can be reached directly)`,
  );
}

/** What a page is called, or a plain answer's first line. */
function words(body: string): string {
  const title = /<title>([^<]*)<\/title>/i.exec(body)?.[1];
  const line = (title ?? body.trim().split("\n", 1)[0] ?? "").trim().slice(0, 80);
  return line.startsWith("<") || !isHeaderValue(line) ? "" : line.replace(/^\d{3} /, "");
}

async function readSome(socket: Socket, head: Buffer): Promise<string> {
  const deadline = setTimeout(() => socket.destroy(), REFUSAL_MS);
  let text = head.toString();
  try {
    // Most pages come with the head.
    if (!text.includes("</title>")) {
      for await (const chunk of socket) {
        text += String(chunk);
        if (text.length >= REFUSAL_BYTES || text.includes("</title>")) break;
      }
    }
  } catch {
    // A cut answer: what came of it will do.
  }
  clearTimeout(deadline);
  return text;
}
