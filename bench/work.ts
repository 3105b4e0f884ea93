/**
 * One measurement over sockets: what the load generator says of it, and what it cost the processes of a system.
 */
import type { Job, JobResult } from "./load/job.ts";
import type { Sample, Units } from "./measure.ts";
import { cpuMs, residentMiB, Worker } from "./process.ts";
import type { System } from "./system.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

const generatorFile = new URL("load/generator.ts", import.meta.url).pathname;

export type Generator = Worker<Job, JobResult>;

export function startGenerator(): Generator {
  return new Worker<Job, JobResult>(generatorFile);
}

/** How often memory is looked at while something runs. */
const LOOK_MS = 50;

/** What a system without flow control may take before it is ended: it would take the whole machine. */
const MOST_MIB = 3 * 1024;

/** The systems that were ended, and why: nothing can be asked of them any more. */
const endings = new WeakMap<System, string>();

/** @throws Error when the system was ended. */
export function mustRun(system: System): void {
  const why = endings.get(system);
  if (why !== undefined) throw new Error(why);
}

/** What a system's processes spent and held while `job` was done. */
export interface Cost {
  readonly edgeCpuMs: number;
  readonly agentCpuMs: number;
  readonly edgeMiB: number;
  readonly agentMiB: number;
}

/**
 * Does something and says what it cost. Memory is the most that was resident.
 * @throws Error when it was too much: the system is ended then.
 */
export async function costOf<T>(system: System, job: () => Promise<T>): Promise<[T, Cost]> {
  const edge = system.edge();
  const agent = system.agent();
  let edgeMiB = residentMiB(edge);
  let agentMiB = residentMiB(agent);
  const tooMuch = Promise.withResolvers<never>();
  const look = setInterval(() => {
    edgeMiB = Math.max(edgeMiB, residentMiB(edge));
    agentMiB = Math.max(agentMiB, residentMiB(agent));
    if (edgeMiB + agentMiB < MOST_MIB) return;
    clearInterval(look);
    void system.stop();
    endings.set(system, "was ended in an earlier row");
    tooMuch.reject(new Error(`took ${Math.round(edgeMiB + agentMiB)} MiB of memory and was ended`));
  }, LOOK_MS);
  const edgeCpuMs = cpuMs(edge);
  const agentCpuMs = cpuMs(agent);
  try {
    const result = await Promise.race([job(), tooMuch.promise]);
    const cost = {
      edgeCpuMs: cpuMs(edge) - edgeCpuMs,
      agentCpuMs: cpuMs(agent) - agentCpuMs,
      edgeMiB,
      agentMiB,
    };
    return [result, { ...cost, edgeMiB, agentMiB }];
  } finally {
    clearInterval(look);
  }
}

export const memoryUnits: Units = {
  edgeMiB: ["MiB", "less"],
  agentMiB: ["MiB", "less"],
};

export const smallUnits: Units = {
  perSecond: ["req/s", "more"],
  p50Ms: ["ms", "less"],
  p99Ms: ["ms", "less"],
  edgeUsPerRequest: ["µs of CPU/req", "less"],
  agentUsPerRequest: ["µs of CPU/req", "less"],
  ...memoryUnits,
};

export const bulkUnits: Units = {
  mbPerS: ["MB/s", "more"],
  firstByteMs: ["ms", "less"],
  edgeMsPerGiB: ["ms of CPU/GiB", "less"],
  agentMsPerGiB: ["ms of CPU/GiB", "less"],
  ...memoryUnits,
};

export const eventUnits: Units = {
  p50Ms: ["ms", "less"],
  p99Ms: ["ms", "less"],
  maxMs: ["ms", "less"],
  ...memoryUnits,
};

export const socketUnits: Units = {
  p50Ms: ["ms", "less"],
  p99Ms: ["ms", "less"],
  eventP50Ms: ["ms", "less"],
  eventP99Ms: ["ms", "less"],
  ...memoryUnits,
};

/** Does a job for a system and returns its figures: those of the job, and CPU for each request or GiB. */
export async function measureWork(
  generator: Generator,
  system: System,
  job: Job & { readonly kind: "small" | "download" | "upload" | "events" | "sockets" },
): Promise<Sample> {
  const [result, cost] = await costOf(system, () => generator.ask(job));
  const memory = {
    edgeMiB: system.edge().length === 0 ? Number.NaN : cost.edgeMiB,
    agentMiB: system.agent().length === 0 ? Number.NaN : cost.agentMiB,
  };
  const per = (ms: number, things: number): number => (ms === 0 ? Number.NaN : ms / things);
  switch (job.kind) {
    case "small": {
      const { requests = Number.NaN } = result;
      return {
        ...result,
        ...memory,
        edgeUsPerRequest: per(cost.edgeCpuMs * 1000, requests),
        agentUsPerRequest: per(cost.agentCpuMs * 1000, requests),
      };
    }
    case "download":
    case "upload": {
      const { bytes = Number.NaN, elapsedMs = Number.NaN, firstByteMs = Number.NaN } = result;
      return {
        ...memory,
        firstByteMs,
        mbPerS: bytes / 1000 / elapsedMs,
        edgeMsPerGiB: per(cost.edgeCpuMs, bytes / GiB),
        agentMsPerGiB: per(cost.agentCpuMs, bytes / GiB),
      };
    }
    case "events":
    case "sockets":
      return { ...result, ...memory };
  }
}
