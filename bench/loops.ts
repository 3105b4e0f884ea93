/**
 * Times functions that take nanoseconds: each variant of a row runs for a moment in every round, and its time is
 * divided by how often it ran.
 */
import { figuresOf, interleave, type Units } from "./measure.ts";
import type { Plan } from "./plan.ts";
import type { Kind, Row, Subject } from "./row.ts";

export interface Variant {
  readonly system: string;
  readonly kind: Kind;
  /** Does the thing `times` times. */
  readonly run: (times: number) => void;
  /** How many things one time is; 1 when nothing is said. */
  readonly things?: number;
  /** Bytes that one thing moves, for rows of throughput. */
  readonly bytes?: number;
}

/** What a loop's result goes into, so that the compiler cannot leave it out. */
export const sink: { value: unknown } = { value: undefined };

const units: Units = {
  ns: ["ns", "less"],
  cpuNs: ["ns of CPU, all threads", "less"],
  gbPerS: ["GB/s", "more"],
};

export async function loopRow(
  subject: Subject,
  name: string,
  variants: readonly Variant[],
  plan: Plan,
): Promise<Row[]> {
  const times = new Map(variants.map((variant) => [variant, timesFor(variant, plan.memoryMs)]));
  const outcomes = await interleave(
    variants,
    () => plan.memoryRounds,
    (variant) => {
      const count = times.get(variant) ?? 1;
      const cpu = process.cpuUsage();
      const start = process.hrtime.bigint();
      variant.run(count);
      const ns = Number(process.hrtime.bigint() - start);
      const { user, system } = process.cpuUsage(cpu);
      const things = count * (variant.things ?? 1);
      return {
        ns: ns / things,
        cpuNs: ((user + system) * 1000) / things,
        ...(variant.bytes === undefined ? {} : { gbPerS: (variant.bytes * things) / ns }),
      };
    },
  );
  return variants.map((variant): Row => {
    const { samples, fault } = outcomes.get(variant) ?? { samples: [], fault: "not measured" };
    const { system, kind } = variant;
    const row = { subject, name, system, kind, figures: figuresOf(samples, units) };
    return fault === undefined ? row : { ...row, fault };
  });
}

/** How often a variant runs in about `ms`, found out by running it; this is also its warm-up. */
function timesFor(variant: Variant, ms: number): number {
  for (let times = 1; ; times *= 2) {
    // The quicker of two: the first may have compiled something, or had to wait for somebody else.
    const took = Math.min(timed(variant, times), timed(variant, times));
    if (took >= ms / 2) return Math.max(1, Math.round((times * ms) / took));
  }
}

function timed(variant: Variant, times: number): number {
  const start = performance.now();
  variant.run(times);
  return performance.now() - start;
}
