/** Why there is no tunnel, for the program that wanted one. */
import type { AgentCode } from "../codes.ts";

/**
 * What trying again does not change. The message is a sentence for a person, and says what to do.
 *
 * The codes that occur: `usage` (an option, or a file or variable that it leads to, must be changed), `unauthorized` (the
 * token), `upgrade-required` (the versions), `proxy-unauthorized` (a proxy on the way wants other credentials), `replaced`
 * (another connection with this one's identity took its place), `failed` (something on this machine), and `internal-error`.
 */
export class ConnectError extends Error {
  readonly code: AgentCode;

  constructor(code: AgentCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ConnectError";
    this.code = code;
  }
}
