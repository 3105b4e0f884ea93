/**
 * The one place that writes to the Worker's log: one object a line, whose members Workers Logs makes fields.
 *
 * There are lines for faults of our own, of the platform and of the configuration, and for agents that come and go. What
 * visitors do, and what origins answer, is not logged: at a thousand requests a second the log would cost more than the
 * tunnel. Whatever happens, an isolate writes no more than its allowance.
 */
import { TunnelError } from "../codec/errors.ts";

/** What a line is about. */
export interface About {
  readonly service?: string | undefined;
  /** Which of the service's objects, when it is not the first; "probe" is that which `agent doctor` measures with. */
  readonly shard?: number | "probe" | undefined;
  /** The id of the request: see `codec/request-id.ts`. */
  readonly request?: string | undefined;
}

/** An agent's coming or going. */
export interface AgentLine {
  readonly event: "agent-connected" | "agent-disconnected" | "agent-gone";
  readonly agent: string;
  /** Why, as in the error table. */
  readonly code?: string;
  readonly [detail: string]: string | number | boolean | undefined;
}

/** So many lines may come at once, and one more each `REFILL_MS`: 43,200 a day, whatever goes on. */
const MOST_LINES = 30;
const REFILL_MS = 2000;

/** Lets through so many lines as the log may hold, and counts the others. */
export class Allowance {
  #lines = MOST_LINES;
  #filledMs: number | undefined;
  #withheld = 0;

  /** How many lines were withheld since the last that was not; undefined: this one is withheld too. */
  take(nowMs: number): number | undefined {
    const refills = Math.floor((nowMs - (this.#filledMs ??= nowMs)) / REFILL_MS);
    this.#lines = Math.min(MOST_LINES, this.#lines + refills);
    this.#filledMs += refills * REFILL_MS;
    if (this.#lines === 0) {
      this.#withheld++;
      return undefined;
    }
    this.#lines--;
    const withheld = this.#withheld;
    this.#withheld = 0;
    return withheld;
  }
}

/** Two: an agent that comes and goes all the time must not hide a fault. */
const faults = new Allowance();
const agents = new Allowance();

let shown = (line: object): unknown => line;

/** From now on a line is JSON text: where nobody makes fields of objects they would be shown as JavaScript writes them. */
export function printJson(): void {
  shown = JSON.stringify;
}

/** Logs a fault: somebody should look. */
export function logFault(where: string, error: unknown, about: About = {}): void {
  const thrown = error instanceof Error ? error : new Error(String(error));
  const { message, stack } = thrown;
  const code = error instanceof TunnelError ? error.code : "internal-error";
  write("error", faults, { event: "fault", ...about, code, where, message, stack });
}

/** Logs that an agent has come or gone. */
export function logAgent(line: AgentLine, about: About): void {
  write("log", agents, { ...line, ...about });
}

function write(level: "error" | "log", allowance: Allowance, line: object): void {
  const withheld = allowance.take(Date.now());
  if (withheld === undefined) return;
  // oxlint-disable-next-line no-console -- the log of a Worker is its console
  console[level](shown(withheld === 0 ? line : { ...line, withheld }));
}
