/**
 * The tunnel over longer and thinner paths, by a relay between agent and edge, with the relay alone beside it.
 */
import type { Plan } from "./plan.ts";
import type { Row, Series } from "./row.ts";
import { type Progress, type SocketRow, socketRow } from "./rows.ts";
import type { Path, System } from "./system.ts";
import { besideUnits, download, type Generators, small, smallBeside } from "./tunnel.ts";
import { bulkUnits, measureWork, smallUnits } from "./work.ts";

/** How long a download over a path lasts: so many round trips that windows can grow, and not for ever. */
function downloadMs({ rttMs, mbitPerS }: Path): number {
  return mbitPerS > 0 ? 8000 : Math.min(5000, 1000 + 60 * rttMs);
}

/** More than a path moves in that time, and little more over a thin one: who has no flow control keeps all of it in memory. */
function largeBytes({ mbitPerS }: Path): number {
  const GiB = 1024 ** 3;
  return mbitPerS > 0 ? GiB / 8 : 16 * GiB;
}

/** The round trip of the limited path: without one there would be no time that requests are bound by. */
export const LIMITED_RTT_MS = 50;

export function pathName({ rttMs, mbitPerS }: Path): string {
  return mbitPerS === 0 ? `${rttMs} ms` : `${mbitPerS} Mbit/s, ${rttMs} ms`;
}

/** The paths of a plan, the limited one last. */
export function pathsOf(plan: Plan): Path[] {
  return [
    ...plan.rttsMs.map((rttMs) => ({ rttMs, mbitPerS: 0 })),
    { rttMs: LIMITED_RTT_MS, mbitPerS: plan.mbitPerS },
  ];
}

export async function pathRows(
  path: Path,
  systems: readonly System[],
  generators: Generators,
  plan: Plan,
  only: string,
  progress: Progress,
): Promise<Row[]> {
  const { measured } = generators;
  const ms = plan.quick ? plan.downloadMs : downloadMs(path);
  const tunnels = systems.filter(({ kind }) => kind !== "floor");
  const base = { subject: "path", rounds: plan.pathRounds } as const;
  const bulk = (streams: number): SocketRow => ({
    ...base,
    name: `download, ${streams}, ${pathName(path)}`,
    systems,
    units: bulkUnits,
    measure: (system) =>
      measureWork(measured, system, {
        ...download(system, plan, streams),
        bytes: largeBytes(path),
        ms,
      }),
  });
  const list: SocketRow[] = [
    {
      ...base,
      rounds: 1,
      name: `small, c=16, ${pathName(path)}`,
      systems,
      units: smallUnits,
      measure: (system) => measureWork(measured, system, small(system, plan, 16)),
    },
    bulk(1),
  ];
  if (path.mbitPerS === 0) list.push({ ...bulk(4), rounds: 1 });
  else {
    list.push({
      ...base,
      name: `small beside a download, ${pathName(path)}`,
      systems: tunnels,
      units: besideUnits,
      measure: (system) =>
        smallBeside(generators, system, plan, {
          ...download(system, plan, 1),
          bytes: largeBytes(path),
          ms: 60_000,
        }),
    });
  }
  const rows: Row[] = [];
  for (const row of list) {
    if (row.name.includes(only)) rows.push(...(await socketRow(row, progress)));
  }
  return rows;
}

/** Throughput of one download against the round trip. */
export function throughputSeries(rows: readonly Row[], plan: Plan): Series[] {
  const names: [number, string][] = plan.rttsMs.map((rttMs) => [
    rttMs,
    `download, 1, ${pathName({ rttMs, mbitPerS: 0 })}`,
  ]);
  const ofPath = rows.filter(({ subject }) => subject === "path");
  const systems = new Map(ofPath.map(({ system, kind }) => [system, kind]));
  return Array.from(systems, ([system, kind]) => ({
    plot: "throughput",
    system,
    kind,
    points: names.flatMap(([rttMs, name]) => {
      const row = ofPath.find((one) => one.name === name && one.system === system);
      const mbPerS = row?.figures["mbPerS"]?.median;
      return mbPerS === undefined ? [] : [[rttMs, mbPerS] as const];
    }),
  })).filter(({ points }) => points.length > 0);
}
