/**
 * The agent's own codes, beside those of the error table (`codec/errors.ts`): what an event's `code` is, what stands in brackets
 * behind its line, and what `docs/errors.md` says more of. Scripts rely on them: extend, never rename.
 */
import { type ErrorCode, errors } from "../codec/errors.ts";
import { type ExitCode, exits } from "./config/usage.ts";

interface AgentCodeRule {
  /** Which event of `--json` has it. */
  readonly event: "error" | "warning" | "disconnected";
  /** What the command ends with; undefined when it goes on. */
  readonly exit?: ExitCode;
  /** One plain sentence: what happened. */
  readonly says: string;
}

export const agentCodes = {
  usage: {
    event: "error",
    exit: exits.usage,
    says: "The command cannot be carried out as it was given; the message quotes what was wrong.",
  },
  failed: {
    event: "error",
    exit: exits.runtime,
    says: "Something else failed, on this machine; the message says what.",
  },
  "command-ended": {
    event: "error",
    exit: exits.runtime,
    says: "The command behind `--` ended before it listened on a port.",
  },
  "proxy-unauthorized": {
    event: "error",
    exit: exits.usage,
    says: "The proxy on the way to the edge wants credentials, or other ones, or a login that Sluice does not speak.",
  },
  "edge-unreachable": {
    event: "disconnected",
    says: "No connection to the edge came to be: a name, a network, a proxy or a certificate is in the way.",
  },
  "not-connected": {
    event: "warning",
    says: "Several dials in a row came to nothing; the agent goes on dialling, and `agent doctor` finds out why.",
  },
  "not-encrypted": {
    event: "warning",
    says: "The edge is on another machine and its URL is http: the token and every request can be read on the way.",
  },
  "insecure-origin": {
    event: "warning",
    says: "--insecure-origin is set: whoever answers at the origin's address is believed to be your server.",
  },
  "name-refused": {
    event: "warning",
    says: "The server seems to turn visitors away for the name that they came by, as development servers do.",
  },
  "metrics-exposed": {
    event: "warning",
    says: "--metrics is not on a loopback address: whoever reaches it can read the numbers.",
  },
  "lines-dropped": {
    event: "warning",
    says: "Whoever reads the agent's lines stopped reading: 1 MiB was kept, what came after it was dropped, and the tunnel went on.",
  },
  "not-ready": {
    event: "error",
    exit: exits.runtime,
    says: "`agent ready` found no agent that requests would reach: it is not connected, is leaving, or does not run.",
  },
} as const satisfies Record<string, AgentCodeRule>;

/** What answered the upgrade with this status was not the edge, or not in its own name. */
type HttpCode = `http-${number}`;

/** What an event may have as its code. */
export type AgentCode = ErrorCode | keyof typeof agentCodes | HttpCode;

/** Whether a text that came from an edge, which may be newer, is a code of the error table. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errors, text);
}
