/**
 * Whether a request that failed may go to another agent: only one that certainly never reached an origin, and whose body,
 * which can be read but once, was none.
 */
import { errors, TunnelError } from "../codec/errors.ts";
import type { RequestHead } from "../codec/frame.ts";

/** Of an upgrade nothing is sent before its answer. */
function hasBody({ length }: RequestHead): boolean {
  return length !== "none" && length !== "socket";
}

/** Whether the request with `head`, which failed with `error`, may be sent again. */
export function mayTryAnother(error: unknown, head: RequestHead): boolean {
  if (!(error instanceof TunnelError) || hasBody(head)) return false;
  const { retryable, status } = errors[error.code];
  // What the visitor did wrong stays wrong.
  return retryable && status >= 500;
}
