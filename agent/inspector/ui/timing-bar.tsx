/** Where the time of an exchange went. */
import type { Timing } from "../api.ts";
import { plural, showMs } from "./format.ts";

interface Part {
  readonly name: string;
  readonly says: string;
  readonly ms: number;
}

/** What is not over yet ends now. */
export function partsOf(timing: Timing, nowMs: number): Part[] {
  const end = timing.ended ?? nowMs;
  const marks: readonly (readonly [string, string, number | null])[] = [
    ["queued", "waited for a free place at the origin", timing.started],
    ["connect", "connection to the origin", timing.connected],
    ["origin", "the origin, to the head of its answer", timing.answered],
    ["first", "to the first byte of the body", timing.firstSent],
    // Nobody knows yet which byte is the last.
    ["body", "the body, to its last byte", timing.ended === null ? null : timing.lastSent],
    ["rest", "to the end", end],
  ];
  const parts: Part[] = [];
  let from = 0;
  for (const [name, says, mark] of marks) {
    const until = Math.min(mark ?? end, end);
    // What never happened took no time; what has not happened yet takes all since.
    if (mark === null && (timing.ended !== null || from === end)) continue;
    parts.push({ name, says, ms: Math.max(0, until - from) });
    from = Math.max(from, until);
  }
  return parts;
}

export function TimingBar({ timing, nowMs }: { readonly timing: Timing; readonly nowMs: number }) {
  const parts = partsOf(timing, nowMs);
  const total = timing.ended ?? nowMs;
  const shown = parts.filter(({ ms, name }) => ms > 0.005 || name === "origin");
  return (
    <section class="timing" aria-label="Timing">
      <div class="bar" role="img" aria-label={`in all ${showMs(total)}`}>
        {shown.map(({ name, ms, says }) => (
          <span
            key={name}
            class={`part ${name}`}
            title={`${says}: ${showMs(ms)}`}
            style={{ flexGrow: String(Math.max(ms / Math.max(total, 0.001), 0.004)) }}
          >
            {name === "body" && timing.stalledMs > 0 && (
              <span
                class="share"
                style={{ width: `${Math.min(100, (100 * timing.stalledMs) / ms)}%` }}
              />
            )}
          </span>
        ))}
      </div>
      <dl class="legend">
        {shown.map(({ name, ms, says }) => (
          <div key={name}>
            <dt>
              <span class={`key ${name}`} aria-hidden="true" />
              {says}
            </dt>
            <dd>{showMs(ms)}</dd>
          </div>
        ))}
        <div class="total">
          <dt>in all{timing.ended === null ? ", so far" : ""}</dt>
          <dd>{showMs(total)}</dd>
        </div>
        {timing.stalls > 0 && (
          <div class="held">
            <dt>
              <span class="key held" aria-hidden="true" />
              of it the origin was held back because the visitor reads slower (
              {plural(timing.stalls, "time")})
            </dt>
            <dd>{showMs(timing.stalledMs)}</dd>
          </div>
        )}
      </dl>
    </section>
  );
}
