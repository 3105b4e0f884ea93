/**
 * The answers that the edge gives itself, all made from the error table.
 *
 * They never hold more than the table says: no stack, no note, nothing of the request.
 */
import { type ErrorCode, errors, TunnelError } from "../codec/errors.ts";
import { REQUEST_ID } from "../codec/request-id.ts";
import { type About, logFault } from "./log.ts";

/** Seconds after which a visitor may try again: an agent re-dials within one or two. */
const RETRY_AFTER_SECONDS = "2";

/** And an agent for which there is no room: one that is there may stay for days. */
const NO_ROOM_SECONDS = "30";

/**
 * The answer for `code`: status, `sluice-error`, and one plain sentence as text, or as JSON when `Accept` asks for it.
 * @param request only its method and `Accept` are looked at.
 * @param id the request's: see `codec/request-id.ts`.
 */
export function refusal(code: ErrorCode, request: Request, id: string): Response {
  const rule = errors[code];
  const headers = new Headers({
    "sluice-error": code,
    [REQUEST_ID]: id,
    "cache-control": "no-store",
  });
  if (rule.status === 503) headers.set("retry-after", RETRY_AFTER_SECONDS);
  if (code === "too-many-agents") headers.set("retry-after", NO_ROOM_SECONDS);
  // RFC 9110 section 11.6.1. (A 426 should name the protocol in `Upgrade`, which the runtime removes.)
  if (rule.status === 401) headers.set("www-authenticate", 'Bearer realm="sluice"');
  const asJson = request.headers.get("accept")?.toLowerCase().includes("json") ?? false;
  headers.set("content-type", asJson ? "application/json" : "text/plain; charset=utf-8");
  const body = asJson
    ? JSON.stringify({ error: code, message: rule.says })
    : `${rule.says} (${code})\n`;
  return new Response(request.method === "HEAD" ? null : body, { status: rule.status, headers });
}

/** The code of anything thrown. What is not a `TunnelError` is a fault of ours: it is logged and becomes `internal-error`. */
export function codeOf(error: unknown, where: string, about: About): ErrorCode {
  if (error instanceof TunnelError) {
    // Only this code means that a person has to look, and the note says at what.
    if (error.code === "internal-error") logFault(where, error, about);
    return error.code;
  }
  logFault(where, error, about);
  return "internal-error";
}
