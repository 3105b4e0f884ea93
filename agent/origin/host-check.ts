/**
 * A development server's host check, recognised: it turns visitors away for the name that they came by, which it was told.
 *
 * It only looks, at what is rare: how the body of a 403 begins, and how a WebSocket is refused. Nothing is changed or held up.
 */
import type { RequestHead } from "../../codec/frame.ts";
import { headerValue } from "../../codec/headers.ts";
import type { Outcome } from "./answer.ts";
import { visitedOrigin } from "./local-names.ts";

/** Rails 6 and later, webpack-dev-server, Vite. */
const refusals = /Blocked hosts?: |Invalid Host header|Blocked request\. This host/;

/** Whether a 403 whose body begins so is about a name. Rails' page has its styles before its words. */
export function isNameRefused(beginning: Uint8Array): boolean {
  return refusals.test(Buffer.from(beginning).toString("latin1"));
}

/**
 * Whether a server refused a WebSocket to a page of its own: only the page's public name can have made it one of another
 * site. Next does it without HTTP.
 */
export function isOwnPageRefused(
  { headers }: RequestHead,
  { status, outcome }: Pick<Outcome, "status" | "outcome">,
): boolean {
  if (status !== 403 && outcome !== "origin-invalid") return false;
  const origin = headerValue(headers, "origin");
  return origin !== undefined && origin === visitedOrigin(headers);
}
