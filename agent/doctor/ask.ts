/** One request to the edge, and as much of its answer as a person could read. */
import { once } from "node:events";
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isHeaderValue } from "../../codec/headers.ts";
import { sinceMs } from "./check.ts";
import type { Scene } from "./scene.ts";

/** An edge's own answers are small; anybody's page is cut here. */
const MOST_CHARS = 64 * 1024;

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Until the head was here, connecting included. */
  readonly ms: number;
}

/** Asks with the token, if there is one. Rejects with what the client says. */
export async function ask(scene: Scene, target: string, withinMs: number): Promise<Answered> {
  const url = new URL(target, scene.config.edge);
  const { token } = scene.found;
  const startMs = performance.now();
  const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, {
    agent: scene.reach.agent,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(withinMs),
  });
  try {
    const answering = once(request, "response");
    request.end();
    const [response] = (await answering) as [IncomingMessage];
    const ms = sinceMs(startMs);
    const { statusCode: status = 0, headers } = response;
    return { status, headers, body: await textOf(response), ms };
  } finally {
    // An error after the answer is of no interest, and would end the process.
    request.on("error", () => {}).destroy();
  }
}

/** The beginning of a body, as far as it comes. */
export async function textOf(response: IncomingMessage, mostChars = MOST_CHARS): Promise<string> {
  let text = "";
  try {
    response.setEncoding("utf8");
    for await (const part of response) {
      text += String(part);
      if (text.length >= mostChars) break;
    }
  } catch {
    // A cut body: what came of it will do.
  }
  return text;
}

/** Who says that it answered, as far as it says so: `Server: "nginx", Via: "1.1 squid"`; "" when nobody does. */
export function answeredBy(headers: IncomingHttpHeaders): string {
  const said: string[] = [];
  for (const [label, name] of [
    ["Server", "server"],
    ["Via", "via"],
  ] as const) {
    const value = String(headers[name] ?? "").slice(0, 80);
    if (value !== "" && isHeaderValue(value)) said.push(`${label}: "${value}"`);
  }
  return said.join(", ");
}

/** What a page is called, or a plain answer's first line; "" when there is neither. */
export function headline(body: string): string {
  const title = /<title>([^<]*)<\/title>/i.exec(body)?.[1];
  const line = (title ?? body.trim().split("\n", 1)[0] ?? "").trim().slice(0, 100);
  return line.startsWith("<") || !isHeaderValue(line) ? "" : line;
}
