/** Which error of the table an HTTP client's error is, and what to tell the person who reads the agent's log. */
import type { ErrorCode } from "../codec/errors.ts";
import { MAX_NOTE_CHARS } from "../codec/limits.ts";

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

/** Certificates that nobody known to Node vouches for. */
const untrusted = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** What went wrong with a connection, in one line for the agent's log, and what to do where that is known. */
export function faultReason(error: Error & { readonly code?: string }): string {
  const code = error.code ?? "";
  if (untrusted.has(code)) {
    return `its certificate is not trusted (${code}); NODE_EXTRA_CA_CERTS=<its PEM file> makes the agent trust it`;
  }
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || /wrong version number/.test(error.message)) {
    return "it does not speak TLS; is it http:// instead of https://?";
  }
  // localhost has two addresses: the error of both has no message of its own.
  const all: unknown[] = error instanceof AggregateError ? error.errors : [];
  const each = all.filter((one) => one instanceof Error).map(({ message }) => message);
  const said = error.message === "" ? each.join(", ") : error.message;
  return (
    said
      // oxlint-disable-next-line no-control-regex -- OpenSSL ends its messages with a line feed
      .replaceAll(/[\0-\x1f\x7f]+/g, " ")
      .trim()
      .slice(0, MAX_NOTE_CHARS) ||
    code ||
    error.name
  );
}
