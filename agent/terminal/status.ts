/** What is under way for a service beside its requests: one line each, a pure function of what happened and the time. */
import { showMs } from "../config/duration.ts";
import type { AgentEvent } from "../events.ts";
import { age, lost, requests, seconds } from "./lines.ts";
import type { Line } from "./text.ts";

/** There is no connection, or one too few. */
export interface Lost {
  readonly is: "lost";
  /** Why, as of the last try. */
  readonly line: Line;
  readonly sinceMs: number;
  readonly retryAtMs: number;
  readonly tries: number;
  /** The objects that are not connected. */
  readonly shards: ReadonlySet<number>;
  /** Requests that went on over those that are again. */
  readonly streams: number;
}

export type Status =
  | { readonly is: "busy"; readonly line: Line }
  | Lost
  | { readonly is: "draining"; readonly untilMs: number };

/** After one more loss, or one more try in vain. */
export function lostNow(
  before: Lost | undefined,
  event: AgentEvent & { readonly event: "disconnected" },
  nowMs: number,
): Lost {
  return {
    is: "lost",
    line: lost(event),
    sinceMs: before?.sinceMs ?? nowMs,
    retryAtMs: nowMs + event.retryMs,
    tries: (before?.tries ?? 0) + 1,
    shards: new Set([...(before?.shards ?? []), event.shard ?? 0]),
    streams: before?.streams ?? 0,
  };
}

/** After one connection has come back, and so many requests with it. */
export function withOneBack(status: Lost, shard: number, streams: number): Lost {
  const shards = new Set(status.shards);
  shards.delete(shard);
  return { ...status, shards, streams: status.streams + streams };
}

/** All of them are back. */
export function backLine({ sinceMs, streams }: Lost, rttMs: number, nowMs: number): Line {
  const wentOn = streams === 0 ? "" : `, ${requests(streams)} in flight went on`;
  return [
    ["connected again", "green"],
    [` after ${showMs(nowMs - sinceMs)}, rtt ${showMs(rttMs)}${wentOn}`],
  ];
}

/** @param open requests in flight */
export function statusLine(status: Status, nowMs: number, open: number): Line {
  switch (status.is) {
    case "busy":
      return status.line;
    case "lost": {
      const { line, retryAtMs, tries, sinceMs, shards } = status;
      const leftMs = retryAtMs - nowMs;
      const next = leftMs > 0 ? `next try in ${seconds(leftMs)}` : "trying now";
      const so = tries === 1 ? "" : `, ${tries} times in ${age(nowMs - sinceMs)}`;
      const many = shards.size > 1 ? ` (${shards.size} connections)` : "";
      return [...line, [`${many}; ${next}`], [so, "dim"]];
    }
    case "draining": {
      const left = seconds(status.untilMs - nowMs);
      return [
        ["draining", "yellow"],
        [`: ${requests(open)} in flight, up to ${left} (Ctrl-C again to stop now)`],
      ];
    }
  }
}
