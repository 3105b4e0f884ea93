/** How an exchange ended, in the words of the list. The error table's sentences are for visitors. */
import { type ErrorCode, errors } from "../../codec/errors.ts";
import type { Outcome } from "../origin/answer.ts";

const words: Partial<Record<ErrorCode, string>> = {
  cancelled: "the visitor went away",
  "not-needed": "the visitor needed no more",
  "origin-refused": "the origin refused the connection",
  "origin-reset": "the origin broke the connection",
  "origin-timeout": "the origin did not answer in time",
  "origin-invalid": "the origin's answer is not valid HTTP",
  "body-mismatch": "a body was not as long as its Content-Length",
  "head-too-large": "the head is too large",
  "agent-lost": "the connection to the edge was lost",
  "agent-stalled": "the edge took the agent for dead",
  "shutting-down": "the agent was shut down",
  draining: "the agent is shutting down",
  overloaded: "too many requests at once",
  "bad-request": "the request cannot be passed on",
  replaced: "another agent took over",
};

/** "" when it went well. */
export function outcomeInWords({ outcome, reason }: Outcome): string {
  if (outcome === "ok") return "";
  const what = words[outcome] ?? errors[outcome].says;
  return reason === undefined ? what : `${what}: ${reason}`;
}
