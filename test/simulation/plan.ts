/**
 * What one exchange is to be, drawn beforehand: how large its bodies are, how fast everybody is, and what goes wrong by
 * the will of its visitor or its origin.
 */
import type { BodyLength } from "../../codec/frame.ts";
import type { Pace } from "./bodies.ts";
import type { Random } from "./random.ts";

export interface Plan {
  readonly id: number;
  readonly startsMs: number;
  readonly request: BodyPlan;
  readonly answer: BodyPlan;
  /** The origin begins to answer so long after it has heard of the request. */
  readonly originMs: number;
  readonly originRefuses: boolean;
  /** The visitor goes away after this. */
  readonly leavesAfterMs: number | undefined;
}

export interface BodyPlan {
  readonly bytes: number;
  readonly length: BodyLength;
  readonly writes: Pace;
  readonly reads: Pace;
  /** After so many bytes its writer fails. */
  readonly failsAt: number | undefined;
  /** After so many bytes its reader needs no more. */
  readonly enoughAt: number | undefined;
}

const KiB = 1024;

/** How much there is to do in a run. */
export interface Load {
  readonly exchanges: number;
  readonly withinMs: number;
  readonly largestBytes: number;
  /** How likely a WebSocket is, whose bytes go both ways at once. */
  readonly sockets: number;
}

export function planOf(random: Random, id: number, load: Load): Plan {
  const socket = random.chance(load.sockets);
  const upload = !socket && random.chance(0.5);
  return {
    id,
    startsMs: random.next() * load.withinMs,
    request: bodyPlan(random, load, socket ? "socket" : upload ? undefined : "none", true),
    answer: bodyPlan(
      random,
      load,
      socket ? "socket" : random.chance(0.1) ? "none" : undefined,
      false,
    ),
    originMs: random.chance(0.5) ? 0 : random.skewed(1, 2000),
    originRefuses: random.chance(0.02),
    leavesAfterMs: random.chance(0.08) ? random.skewed(1, 5000) : undefined,
  };
}

/** One more exchange that nothing disturbs. */
export function plainPlan(id: number): Plan {
  const pace: Pace = { pieceBytes: 4 * KiB, pauses: 0, mostPauseMs: 0 };
  const body: BodyPlan = {
    bytes: 100 * KiB,
    length: "unknown",
    writes: pace,
    reads: pace,
    failsAt: undefined,
    enoughAt: undefined,
  };
  return {
    id,
    startsMs: 0,
    request: body,
    answer: body,
    originMs: 0,
    originRefuses: false,
    leavesAfterMs: undefined,
  };
}

function bodyPlan(
  random: Random,
  load: Load,
  kind: "none" | "socket" | undefined,
  ofRequest: boolean,
): BodyPlan {
  const bytes = kind === "none" ? 0 : bodyBytes(random, load.largestBytes);
  const fails = kind !== "none" && random.chance(0.04);
  const enough = ofRequest && kind !== "none" && random.chance(0.06);
  return {
    bytes,
    length: kind ?? (random.chance(0.5) ? bytes : "unknown"),
    writes: paceOf(random),
    reads: paceOf(random),
    failsAt: fails ? random.between(0, bytes) : undefined,
    enoughAt: enough ? random.between(1, Math.max(1, bytes)) : undefined,
  };
}

function bodyBytes(random: Random, largestBytes: number): number {
  const kind = random.next();
  if (kind < 0.1) return 0;
  if (kind < 0.2) return 1;
  if (kind < 0.6) return random.skewed(2, 4 * KiB);
  return random.skewed(4 * KiB, largestBytes);
}

function paceOf(random: Random): Pace {
  const kind = random.next();
  const pieceBytes = random.skewed(256, 64 * KiB);
  if (kind < 0.6) return { pieceBytes, pauses: 0, mostPauseMs: 0 };
  if (kind < 0.9) return { pieceBytes, pauses: 0.1, mostPauseMs: 200 };
  // Somebody who stalls.
  return { pieceBytes, pauses: 0.05, mostPauseMs: 10_000 };
}
