/** Which error of the table an HTTP client's error is, and what to tell the person who reads the agent's log. */
import type { ErrorCode } from "../../codec/errors.ts";
import { MAX_NOTE_CHARS } from "../../codec/limits.ts";

/** What an HTTP client reports; most come with a code. */
export type ClientError = Error & { readonly code?: string };

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
export function clientFault(error: ClientError, { connected, answered }: Progress): ErrorCode {
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

/** What can be wrong with a certificate: the first four, that nobody known to Node vouches for it. */
const flaws = new Map([
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "its certificate is self-signed"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "its certificate's authority is not trusted"],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "its certificate's authority is not trusted"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "its certificate's authority is not trusted"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "its certificate is for another name"],
  ["CERT_HAS_EXPIRED", "its certificate has expired"],
  ["CERT_NOT_YET_VALID", "its certificate is not valid yet"],
]);

/** What went wrong with a connection, in one line for the agent's log, and what to do where that is known. */
export function faultReason(error: ClientError): string {
  const code = error.code ?? "";
  const flaw = flaws.get(code);
  if (flaw !== undefined) {
    return `${flaw} (${code}); if it is the right server, --origin-ca <PEM file> says whom to believe, --insecure-origin believes anyone`;
  }
  if (hasOtherProtocols(error)) return "it does not speak HTTP/1.1 over TLS";
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

/** Whether nobody listens at the origin's address, at this moment. */
export function isAbsent(error: ClientError): boolean {
  // A Unix socket's file is gone while its server is.
  return error.code === "ECONNREFUSED" || error.code === "ENOENT";
}

/** Whether a TLS server wants none of the protocols that it was offered (RFC 7301 section 3.2), as one that speaks only HTTP/2. */
export function hasOtherProtocols({ code, message }: ClientError): boolean {
  return (
    code === "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL" ||
    // node:https, which writes before it has heard, reports the failed write.
    (code === "EPROTO" && message.includes("alert no application protocol"))
  );
}
