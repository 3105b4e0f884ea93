/**
 * The tunnel on loopback, everything real, beside floors and peers: small requests, bulk both ways, event streams,
 * WebSockets, and small requests while others move or hold up large bodies.
 */
import type { Job } from "./load/job.ts";
import type { Sample, Units } from "./measure.ts";
import type { Plan } from "./plan.ts";
import type { Row, Series } from "./row.ts";
import { type Progress, type SocketRow, socketRow } from "./rows.ts";
import type { System, Work } from "./system.ts";
import {
  bulkUnits,
  eventUnits,
  type Generator,
  measureWork,
  memoryUnits,
  smallUnits,
  socketUnits,
} from "./work.ts";

const GiB = 1024 ** 3;
const EVENT_EVERY_MS = 20;

/** Many who stay say little each: two messages a second, and five events. */
const SOCKET_EVERY_MS = 500;
const STREAM_EVERY_MS = 200;

/** More than passes while small requests are measured beside it. */
const BESIDE_BYTES = 16 * GiB;

/** The load generators: one for what is measured, one for what goes on beside it. */
export interface Generators {
  readonly measured: Generator;
  readonly beside: Generator;
}

export const smallRow = (concurrency: number): string => `small, c=${concurrency}`;
export const downloadRow = (streams: number): string => `download, ${streams}`;
export const uploadRow = (streams: number): string => `upload, ${streams}`;
/** Of the full plan; a quick run has fewer and the same name, as with other rows. */
export const SOCKETS = "500 WebSockets and 100 event streams";
export const BESIDE_DOWNLOADS = "small beside 2 downloads";
export const besideStalled = (readers: number): string =>
  `small beside ${readers} stalled reader${readers === 1 ? "" : "s"}`;

export async function tunnelRows(
  systems: readonly System[],
  generators: Generators,
  plan: Plan,
  only: string,
  progress: Progress,
): Promise<Row[]> {
  const { measured } = generators;
  const that = (work: Work): System[] => systems.filter((system) => system.does.includes(work));
  const tunnels = that("small").filter(({ kind }) => kind !== "floor");
  const base = { subject: "tunnel", rounds: plan.rounds } as const;
  const list: SocketRow[] = [
    ...plan.concurrencies.map((concurrency) => ({
      ...base,
      name: smallRow(concurrency),
      systems: that("small"),
      units: smallUnits,
      measure: (system: System) => measureWork(measured, system, small(system, plan, concurrency)),
    })),
    ...[1, 8].map((streams) => ({
      ...base,
      name: downloadRow(streams),
      systems: that("download"),
      units: bulkUnits,
      measure: (system: System) => measureWork(measured, system, download(system, plan, streams)),
    })),
    ...[1, 8].map((streams) => ({
      ...base,
      name: uploadRow(streams),
      systems: that("upload"),
      units: bulkUnits,
      measure: (system: System) => measureWork(measured, system, upload(system, plan, streams)),
    })),
    {
      ...base,
      name: "events",
      systems: that("events"),
      units: eventUnits,
      measure: (system) =>
        measureWork(measured, system, {
          kind: "events",
          target: system.target,
          everyMs: EVENT_EVERY_MS,
          count: plan.events,
        }),
    },
    {
      ...base,
      name: SOCKETS,
      systems: that("sockets"),
      units: socketUnits,
      measure: (system) =>
        measureWork(measured, system, {
          kind: "sockets",
          target: system.target,
          sockets: plan.sockets,
          everyMs: SOCKET_EVERY_MS,
          streams: plan.streams,
          eventEveryMs: STREAM_EVERY_MS,
          warmMs: plan.warmMs,
          ms: plan.socketsMs,
        }),
    },
    {
      ...base,
      rounds: plan.besideRounds,
      name: BESIDE_DOWNLOADS,
      systems: tunnels,
      units: besideUnits,
      measure: (system) =>
        smallBeside(generators, system, plan, {
          ...download(system, plan, 2),
          // Ended by "release", not by their size or time.
          bytes: BESIDE_BYTES,
          ms: 60_000,
        }),
    },
    ...[1, 32].map((readers) => ({
      ...base,
      rounds: plan.besideRounds,
      name: besideStalled(readers),
      systems: tunnels,
      units: besideUnits,
      measure: (system: System) =>
        smallBeside(generators, system, plan, {
          kind: "stall",
          target: system.target,
          readers,
          bytes: GiB,
        }),
    })),
  ];
  const rows: Row[] = [];
  for (const row of list) {
    if (row.name.includes(only)) rows.push(...(await socketRow(row, progress)));
  }
  return rows;
}

export function small(system: System, plan: Plan, concurrency: number): Job & { kind: "small" } {
  const { warmMs, smallMs: ms } = plan;
  return { kind: "small", target: system.target, concurrency, warmMs, ms };
}

export function download(system: System, plan: Plan, streams: number): Job & { kind: "download" } {
  const bytes = Math.ceil(plan.downloadBytes / streams);
  // A floor has no flow control: cut, it would go on sending into memory. It is quick enough to end by itself.
  const ms = system.kind === "floor" ? plan.uploadMs : plan.downloadMs;
  return { kind: "download", target: system.target, streams, bytes, ms };
}

function upload(system: System, plan: Plan, streams: number): Job & { kind: "upload" } {
  const bytes = Math.ceil(plan.uploadBytes / streams);
  return { kind: "upload", target: system.target, streams, bytes, ms: plan.uploadMs };
}

export const besideUnits: Units = {
  p50Ms: ["ms", "less"],
  p99Ms: ["ms", "less"],
  idleP50Ms: ["ms", "less"],
  p50OverIdle: ["×", "less"],
  besideMbPerS: ["MB/s", "more"],
  ...memoryUnits,
};

/** Small requests one at a time, first alone, then beside something else. */
export async function smallBeside(
  { measured, beside }: Generators,
  system: System,
  plan: Plan,
  other: Job,
): Promise<Sample> {
  const job = small(system, plan, 1);
  const idle = await measured.ask(job);
  const running = beside.ask(other);
  // What goes on beside has to be under way: the warm-up of the small requests is the time it has for it.
  let sample: Sample;
  try {
    sample = await Promise.race([
      measureWork(measured, system, { ...job, warmMs: Math.max(job.warmMs, 300) }),
      running.then((): never => {
        throw new Error("what was to go on beside has ended");
      }),
    ]);
  } finally {
    await beside.ask({ kind: "release" });
  }
  const { bytes = Number.NaN, elapsedMs = Number.NaN } = await running;
  const { p50Ms: idleP50Ms = Number.NaN } = idle;
  return {
    ...sample,
    idleP50Ms,
    p50OverIdle: (sample["p50Ms"] ?? Number.NaN) / idleP50Ms,
    besideMbPerS: bytes / 1000 / elapsedMs,
  };
}

/** Latency against concurrency, from the rows. */
export function latencySeries(rows: readonly Row[], plan: Plan): Series[] {
  const systems = new Map(
    rows
      .filter((row) => row.subject === "tunnel" && row.name.startsWith("small, c="))
      .map((row) => [row.system, row.kind]),
  );
  return Array.from(systems, ([system, kind]) => ({
    plot: "latency",
    system,
    kind,
    points: plan.concurrencies.flatMap((concurrency) => {
      const row = rows.find((one) => one.name === smallRow(concurrency) && one.system === system);
      const p99 = row?.figures["p99Ms"]?.median;
      return p99 === undefined ? [] : [[concurrency, p99] as const];
    }),
  })).filter(({ points }) => points.length > 0);
}
