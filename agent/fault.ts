/** Which error of the table an HTTP client's error is. */
import type { ErrorCode } from "../codec/errors.ts";

/** How far the request had come when the error came. */
export interface Progress {
  /** Whether a connection to the origin was there. */
  readonly connected: boolean;
  /** Whether the head of the answer was there. */
  readonly answered: boolean;
}

/**
 * `origin-refused` when nothing was sent, `origin-invalid` when the origin spoke something else than HTTP or too much of
 * it, `origin-reset` when it went away.
 *
 * By code where there is one; undici tells an answer out of turn from a closed connection by its message alone.
 */
export function clientFault(
  error: Error & { readonly code?: string },
  { connected, answered }: Progress,
): ErrorCode {
  const code = error.code ?? "";
  // A head that undici will not send: the session should not have let it through.
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED") return "internal-error";
  if (!connected) return "origin-refused";
  if (code.startsWith("HPE_") || error.name === "HTTPParserError") return "origin-invalid";
  if (code === "UND_ERR_HEADERS_OVERFLOW") return "origin-invalid";
  if (/^bad (?:response|upgrade)$/.test(error.message)) return "origin-invalid";
  // undici says this of a body that is too short, and of a head whose lengths contradict each other.
  if (code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH" && !answered) return "origin-invalid";
  return "origin-reset";
}
