/**
 * What the edge on this machine writes to its log (`edge/log.ts`), told to the person who runs it: faults, and agents that
 * come and go.
 */
import * as v from "valibot";
import { isErrorCode } from "../codes.ts";
import type { Log } from "../terminal/log.ts";

const edgeLine = v.variant("event", [
  v.object({
    event: v.literal("fault"),
    service: v.optional(v.string()),
    code: v.string(),
    message: v.string(),
  }),
  v.object({
    event: v.literal("agent-connected"),
    service: v.string(),
    resumed: v.boolean(),
    software: v.string(),
  }),
  v.object({ event: v.literal("agent-disconnected"), service: v.string(), streams: v.number() }),
  v.object({ event: v.literal("agent-gone"), service: v.string(), code: v.string() }),
]);

export type EdgeLine = v.InferOutput<typeof edgeLine>;

/** The line that a line of workerd's output is; undefined for what workerd says itself. */
export function readEdgeLine(text: string): EdgeLine | undefined {
  if (!text.startsWith('{"event":')) return undefined;
  try {
    const found = v.safeParse(edgeLine, JSON.parse(text));
    return found.success ? found.output : undefined;
  } catch {
    // A line that was cut, by its end.
    return undefined;
  }
}

/** Tells it: a fault as an error, agents in passing. */
export function tellEdgeLine(line: EdgeLine, log: Log): void {
  switch (line.event) {
    case "fault": {
      const where = line.service === undefined ? "" : ` (service ${line.service})`;
      const code = isErrorCode(line.code) ? line.code : "internal-error";
      log.event({ event: "error", code, message: `${line.message}${where}` });
      return;
    }
    case "agent-connected": {
      const what = line.resumed ? "is back" : "connected";
      log.say(`${line.service}: an agent ${what} (${line.software})`);
      return;
    }
    case "agent-disconnected":
      log.say(
        `${line.service}: an agent's connection broke with ${line.streams} in flight; waiting for it`,
      );
      return;
    case "agent-gone":
      log.say(`${line.service}: an agent is gone (${line.code})`);
      return;
  }
}
