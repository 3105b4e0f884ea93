/**
 * Memory while a visitor stops reading a download of 1 GiB: what edge and agent grow by, against time.
 */
import { pause, type Sample, type Units } from "./measure.ts";
import type { Plan } from "./plan.ts";
import { residentMiB } from "./process.ts";
import type { Row, Series } from "./row.ts";
import { type Progress, socketRow } from "./rows.ts";
import type { System } from "./system.ts";
import { small, type Generators } from "./tunnel.ts";

const GiB = 1024 ** 3;

/**
 * As much as passes anyway before a reader that has stopped is noticed, because the kernel's buffers take it: the first
 * body of a process leaves it larger, read or not. More would leave room in which a hoard could hide.
 */
const WARM_BYTES = 8 * 1024 ** 2;

const LOOK_MS = 100;

export const STALLED = "1 stalled reader of 1 GiB";

const units: Units = {
  edgeGrowthMiB: ["MiB", "less"],
  agentGrowthMiB: ["MiB", "less"],
  edgeColdGrowthMiB: ["MiB", "less"],
  agentColdGrowthMiB: ["MiB", "less"],
};

/** The rows, and for each tunnel how the memory of edge and agent together grew. */
export async function memoryRows(
  systems: readonly System[],
  { measured, beside }: Generators,
  plan: Plan,
  progress: Progress,
): Promise<{ rows: Row[]; series: Series[] }> {
  const tunnels = systems.filter(({ kind, does }) => kind !== "floor" && does.includes("download"));
  const series = new Map<System, Series>();
  const measure = async (system: System): Promise<Sample> => {
    const { target } = system;
    await measured.ask(small(system, plan, 16));
    await pause(300);
    // Cold: no large body has passed yet.
    const edgeCold = residentMiB(system.edge());
    const agentCold = residentMiB(system.agent());
    await measured.ask({ kind: "download", target, streams: 1, bytes: WARM_BYTES, ms: 2000 });
    await pause(300);
    const edgeBefore = residentMiB(system.edge());
    const agentBefore = residentMiB(system.agent());
    const running = beside.ask({ kind: "stall", target, readers: 1, bytes: GiB });
    let edgeGrowthMiB = 0;
    let agentGrowthMiB = 0;
    const points: [number, number][] = [];
    const begin = performance.now();
    for (let elapsed = 0; elapsed < plan.stallMs; elapsed = performance.now() - begin) {
      const edge = residentMiB(system.edge()) - edgeBefore;
      const agent = residentMiB(system.agent()) - agentBefore;
      edgeGrowthMiB = Math.max(edgeGrowthMiB, edge);
      agentGrowthMiB = Math.max(agentGrowthMiB, agent);
      points.push([elapsed / 1000, edge + agent]);
      await pause(LOOK_MS);
    }
    await beside.ask({ kind: "release" });
    await running;
    series.set(system, { plot: "memory", system: system.name, kind: system.kind, points });
    return {
      edgeGrowthMiB,
      agentGrowthMiB,
      edgeColdGrowthMiB: edgeBefore + edgeGrowthMiB - edgeCold,
      agentColdGrowthMiB: agentBefore + agentGrowthMiB - agentCold,
    };
  };
  // Once: a process that has grown does not shrink, so that a second round would begin too high.
  const row = {
    subject: "memory",
    name: STALLED,
    systems: tunnels,
    rounds: 1,
    units,
    measure,
  } as const;
  return { rows: await socketRow(row, progress), series: [...series.values()] };
}
