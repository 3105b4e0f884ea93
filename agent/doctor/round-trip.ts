/** How long a message takes to the edge and back, and how evenly. */
import { type Check, fail, type Finding, ok, shortMs, skip, warn, WITHIN_MS } from "./check.ts";
import type { Scene } from "./scene.ts";

const PINGS = 10;

/** Every request pays a round trip on top of the visitor's own. */
const FAR_MS = 300;

export const roundTrip: Check = {
  name: "round-trip",
  title: "round trip",
  needs: ["authentication"],
  target: () => `${PINGS} pings`,
  run: look,
};

async function look(scene: Scene): Promise<Finding> {
  const { opening } = scene.found;
  if (opening?.kind !== "open") return skip("no connection came to be");
  const { socket } = opening;
  const helloMs = await socket.greet();
  if (helloMs === undefined) {
    return fail(
      "the connection opened, and nothing came over it",
      "Something on the way lets the upgrade pass and holds messages back: it must pass WebSockets through as they come.",
    );
  }
  const samples: number[] = [];
  // The first one waits for what the greeting has set off at both ends.
  await socket.ping(WITHIN_MS);
  for (let i = 0; i < PINGS; i++) {
    const ms = await socket.ping(WITHIN_MS);
    if (ms === undefined) {
      return fail(
        `no answer to ping ${i + 1} within ${WITHIN_MS / 1000} s`,
        "Something on the way drops small messages, or the connection was cut: see the idle check, and the proxy's log.",
        { data: { samples } },
      );
    }
    samples.push(ms);
  }
  return judged(samples, helloMs);
}

function judged(samples: readonly number[], helloMs: number): Finding {
  const sorted = samples.toSorted((a, b) => a - b);
  const minMs = sorted[0] ?? 0;
  const medianMs = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const maxMs = sorted.at(-1) ?? 0;
  const jitterMs = jitterOf(samples);
  const details = `min ${shortMs(minMs)}, median ${shortMs(medianMs)}, max ${shortMs(maxMs)}, jitter ${shortMs(jitterMs)}; greeting ${shortMs(helloMs)}`;
  const data = { minMs, medianMs, maxMs, jitterMs, helloMs, samples };
  if (medianMs < FAR_MS) return ok(details, data);
  return warn(
    details,
    "The edge's object is far away, or the line is full: LOCATION_HINT says where objects are made (docs/scaling.md).",
    data,
  );
}

/** The mean change from one sample to the next (RFC 3550 section 6.4.1, without its smoothing). */
function jitterOf(samples: readonly number[]): number {
  let sum = 0;
  for (let i = 1; i < samples.length; i++) {
    sum += Math.abs((samples[i] ?? 0) - (samples[i - 1] ?? 0));
  }
  return samples.length < 2 ? 0 : Math.round((100 * sum) / (samples.length - 1)) / 100;
}
