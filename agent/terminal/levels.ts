/** How much is told to people and logs. The events of `--json` are always all of them. */
import type { AgentEvent } from "../events.ts";

export const levels = ["debug", "info", "warn", "error", "silent"] as const;

export type Level = (typeof levels)[number];

/** Whether what matters that much is told. */
export function isTold(level: Level, least: Level): boolean {
  return levels.indexOf(level) >= levels.indexOf(least);
}

/** How much an event matters. */
export function levelOf(event: AgentEvent): Level {
  switch (event.event) {
    case "error":
      return "error";
    case "warning":
    case "disconnected":
      return "warn";
    case "request":
      // A visitor who leaves is no fault of anybody's.
      return event.outcome === "ok" || event.outcome === "cancelled" ? "info" : "warn";
    case "connected":
      return (event.shard ?? 0) > 0 && !event.again ? "debug" : "info";
    case "roundTrip":
      return "debug";
    default:
      return "info";
  }
}
