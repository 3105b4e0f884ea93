/** Why there is no tunnel, for the program that wanted one. */
import { type ErrorCode, errors } from "../../codec/errors.ts";

/**
 * `usage`: the options, or a file or variable that they lead to, must be changed. `proxy-unauthorized`: a proxy on the way
 * wants other credentials. All others are of the error table; the edge's own answers are `unauthorized` (the token),
 * `upgrade-required` (the versions) and `replaced` (another connection with this one's identity).
 */
export type ConnectErrorCode = "usage" | "proxy-unauthorized" | ErrorCode;

/** What trying again does not change. The message is a sentence for a person, and says what to do. */
export class ConnectError extends Error {
  readonly code: ConnectErrorCode;

  constructor(code: ConnectErrorCode, message: string) {
    super(message);
    this.name = "ConnectError";
    this.code = code;
  }
}

/** The code as far as this version knows it: an edge may be newer. */
export function connectErrorCode(code: string): ConnectErrorCode {
  if (code === "usage" || code === "proxy-unauthorized") return code;
  return Object.hasOwn(errors, code) ? (code as ErrorCode) : "unauthorized";
}
