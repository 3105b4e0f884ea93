/** Throughput over the life of a stream as bars, the credit window as a line over it, and when the origin was held back. */
import type { Flow } from "../api.ts";
import { showBytes, showKiB, showMs } from "./format.ts";

const WIDTH = 720;
const HEIGHT = 120;
const TOP = 8;

export function FlowChart({ flow }: { readonly flow: Flow }) {
  const steps = flow.out.length;
  // A stream that began a moment ago is not a wall.
  const columns = Math.max(steps, 24);
  const step = WIDTH / columns;
  const most = Math.max(1, ...flow.out, ...flow.in);
  const window = Math.max(1, ...flow.credit);
  const y = (share: number): number => HEIGHT - share * (HEIGHT - TOP);
  const rate = (bytes: number): string => `${showBytes((bytes / flow.stepMs) * 1000)}/s`;
  return (
    <figure class="flow">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Throughput, at most ${rate(most)}; window, at most ${showKiB(window)}`}
      >
        {flow.stalledMs.map((ms, at) =>
          ms === 0 ? null : (
            <rect
              key={`s${at}`}
              class="held"
              x={at * step}
              y={0}
              width={step}
              height={HEIGHT}
              opacity={0.12 + 0.38 * Math.min(1, ms / flow.stepMs)}
            />
          ),
        )}
        {flow.out.map((bytes, at) => (
          <g key={at}>
            {bytes > 0 && (
              <rect
                class="out"
                x={at * step + step * 0.1}
                y={y(bytes / most)}
                width={step * (flow.in[at] ? 0.4 : 0.8)}
                height={HEIGHT - y(bytes / most)}
              />
            )}
            {(flow.in[at] ?? 0) > 0 && (
              <rect
                class="in"
                x={at * step + step * (bytes > 0 ? 0.5 : 0.1)}
                y={y((flow.in[at] ?? 0) / most)}
                width={step * (bytes > 0 ? 0.4 : 0.8)}
                height={HEIGHT - y((flow.in[at] ?? 0) / most)}
              />
            )}
          </g>
        ))}
        <path class="window" d={windowPath(flow.credit, step, (credit) => y(credit / window))} />
      </svg>
      <figcaption>
        <span>
          <span class="key out" /> to the visitor
        </span>
        {flow.in.some((bytes) => bytes > 0) && (
          <span>
            <span class="key in" /> to the origin
          </span>
        )}
        <span>
          <span class="key window" /> open window, at most {showKiB(window)}
        </span>
        {flow.stalledMs.some((ms) => ms > 0) && (
          <span>
            <span class="key held" /> origin held back
          </span>
        )}
        <span class="scale">
          peak {rate(most)} · a bar is {showMs(flow.stepMs)} · {showMs(flow.stepMs * steps)} in all
        </span>
      </figcaption>
    </figure>
  );
}

/** Where nothing was measured the window is what it was. */
function windowPath(
  credit: readonly number[],
  step: number,
  y: (credit: number) => number,
): string {
  let path = "";
  let last = -1;
  credit.forEach((value, at) => {
    const now = value < 0 ? last : value;
    if (now < 0) return;
    path += `${last < 0 ? "M" : "L"}${(at * step).toFixed(1)} ${y(now).toFixed(1)}`;
    path += `L${((at + 1) * step).toFixed(1)} ${y(now).toFixed(1)}`;
    last = now;
  });
  return path;
}
