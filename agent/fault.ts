/** Which error of the table an HTTP client's error is, once a connection to the origin was there. */
import type { ErrorCode } from "../codec/errors.ts";

/**
 * `origin-invalid` when the origin spoke something else than HTTP or too much of it, `origin-reset` when it went away.
 *
 * By code where there is one; undici tells an answer out of turn from a closed connection by its message alone.
 */
export function originFault(error: Error & { readonly code?: string }): ErrorCode {
  const code = error.code ?? "";
  if (code.startsWith("HPE_") || code === "UND_ERR_HEADERS_OVERFLOW") return "origin-invalid";
  if (error.name === "HTTPParserError") return "origin-invalid";
  if (/^bad (?:response|upgrade)$/.test(error.message)) return "origin-invalid";
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED") return "internal-error";
  return "origin-reset";
}
