/** What has happened so far, counted for the person who asks (`s`). */
import { createHistogram } from "node:perf_hooks";
import { showBytes, showMs } from "../config/duration.ts";
import type { AgentEvent } from "../events.ts";
import { age, requests } from "./lines.ts";
import type { Line } from "./text.ts";

export class Statistics {
  readonly #startedMs: number;
  /** Durations in microseconds: a histogram holds whole numbers above zero. */
  readonly #durations = createHistogram();
  readonly #outcomes = new Map<string, number>();
  #requests = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #losses = 0;
  /** The latest, and when it was measured. */
  #roundTrip: { readonly rttMs: number; readonly atMs: number } | undefined;

  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  count(event: AgentEvent, nowMs: number): void {
    switch (event.event) {
      case "request": {
        const { ms, bytesIn, bytesOut, outcome } = event;
        this.#requests++;
        this.#bytesIn += bytesIn;
        this.#bytesOut += bytesOut;
        this.#durations.record(Math.max(1, Math.round(ms * 1000)));
        if (outcome !== "ok") this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
        break;
      }
      case "connected":
      case "resumed":
      case "roundTrip":
        if ((event.shard ?? 0) > 0) break;
        this.#roundTrip = { rttMs: event.rttMs, atMs: nowMs };
        break;
      case "disconnected":
        this.#losses++;
        break;
      default:
    }
  }

  /** One sentence for the end. */
  summary(nowMs: number): string {
    let failed = 0;
    for (const count of this.#outcomes.values()) failed += count;
    const but = failed === 0 ? "" : `, ${failed.toLocaleString("en")} of them not to the end`;
    return `served ${requests(this.#requests)} in ${age(nowMs - this.#startedMs)}${but}`;
  }

  /** All of it. */
  lines(nowMs: number, open: number): Line[] {
    const at = (percent: number): string => showMs(this.#durations.percentile(percent) / 1000);
    const rows: [string, string][] = [
      ["running for", age(nowMs - this.#startedMs)],
      ["requests", `${requests(this.#requests)} finished, ${open} open`],
      ["bodies", `${showBytes(this.#bytesIn)} in, ${showBytes(this.#bytesOut)} out`],
    ];
    if (this.#requests > 0) {
      rows.push(["duration", `half within ${at(50)}, 90% ${at(90)}, 99% ${at(99)}`]);
    }
    if (this.#outcomes.size > 0) {
      const all = [...this.#outcomes].map(([outcome, count]) => `${outcome} ${count}`);
      rows.push(["not to the end", all.join(", ")]);
    }
    const rtt =
      this.#roundTrip === undefined
        ? "none yet"
        : `rtt ${showMs(this.#roundTrip.rttMs)} (${age(nowMs - this.#roundTrip.atMs)} ago)`;
    rows.push(["connection", `${rtt}, tried again ${this.#losses} times`]);
    return rows.map(([name, value]) => [["  "], [name.padEnd(16), "dim"], [value]]);
  }
}
