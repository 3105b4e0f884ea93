/**
 * What may fail, and why: an exchange that fails though nothing was done that permits it is a violation.
 */
import { type ErrorCode, TunnelError } from "../../codec/errors.ts";

/** The code of an error that reached a visitor or an origin; undefined when it is none of the table's. */
export function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof TunnelError ? error.code : undefined;
}

export class Blame {
  readonly #codes = new Set<ErrorCode>();
  readonly #agents = new Set<string>();
  #everything = false;

  /** From now on any exchange may fail. */
  everything(): void {
    this.#everything = true;
  }

  /** From now on what goes through this agent may fail. */
  agent(name: string): void {
    this.#agents.add(name);
  }

  /** From now on any exchange may fail with one of these. */
  codes(...codes: ErrorCode[]): void {
    for (const code of codes) this.#codes.add(code);
  }

  /** Whether an exchange that went through `agents` may fail so. */
  permits(code: ErrorCode, agents: Iterable<string>): boolean {
    if (this.#everything || this.#codes.has(code)) return true;
    for (const agent of agents) if (this.#agents.has(agent)) return true;
    return false;
  }

  /** Whether an agent is trusted no more. */
  blames(agent: string): boolean {
    return this.#everything || this.#agents.has(agent);
  }

  /** All is forgiven but to agents whose counters somebody has falsified: from now on nothing else may fail. */
  forget(): void {
    this.#codes.clear();
    this.#everything = false;
  }
}
