/**
 * Sets up what is measured on a site: floors, Sluice, peers. What cannot be had says why.
 */
import { startDirect, startFloors } from "./floor/floors.ts";
import { pause } from "./measure.ts";
import type { Peer } from "./peers/install.ts";
import { chisel } from "./peers/chisel.ts";
import { frp } from "./peers/frp.ts";
import { piko } from "./peers/piko.ts";
import { pipenet } from "./peers/pipenet.ts";
import { ssh } from "./peers/ssh.ts";
import { warp } from "./peers/warp.ts";
import type { ProgressLine } from "./progress.ts";
import type { Skipped } from "./result.ts";
import { startSluice } from "./sluice.ts";
import { isLoopback, type Site, type System } from "./system.ts";
import type { Generator } from "./work.ts";

const peers: readonly Peer[] = [ssh, pipenet, warp, frp, chisel, piko];

const READY_MS = 10_000;

export interface Systems {
  readonly all: readonly System[];
  readonly skipped: readonly Skipped[];
  stop(): Promise<void>;
}

/** `before`: the peers that were skipped before; they are not tried again, for that may take minutes. */
export async function startSystems(
  site: Site,
  generator: Generator,
  withPeers: boolean,
  before: readonly Skipped[],
  progress: ProgressLine,
): Promise<Systems> {
  const all: System[] = [await startDirect(site)];
  const skipped: Skipped[] = [];
  // Floors stand for what is possible without a network: over a path the relay alone is the floor.
  if (isLoopback(site.path)) all.push(...(await startFloors(site)));
  all.push(await startSluice(site));
  const asked = peers.filter(({ name }) => !before.some(({ system }) => system === name));
  if (!withPeers) {
    const reason = "a quick run asks ours and the floors only";
    skipped.push(...asked.map(({ name }) => ({ system: name, reason })));
  }
  for (const peer of withPeers ? asked : []) {
    progress.show(`setting up · ${peer.name}`);
    let system: System | undefined;
    try {
      system = await peer.start(site);
      await answers(system, generator);
      all.push(system);
    } catch (error) {
      await system?.stop();
      const reason = plain(error instanceof Error ? error.message : String(error));
      skipped.push({ system: peer.name, reason });
      progress.say(`without ${peer.name}: ${reason}`);
    }
  }
  await Promise.all(
    all
      .filter(({ kind, does }) => kind !== "peer" && does.includes("small"))
      .map((system) => answers(system, generator)),
  );
  return {
    all,
    skipped,
    stop: async () => {
      await Promise.all(all.map((system) => system.stop()));
    },
  };
}

/** A reason for people: one line, without the addresses that a package manager asked. */
function plain(reason: string): string {
  return reason
    .replaceAll(/\s+/g, " ")
    .replaceAll(/https?:\/\/\S+/g, "…")
    .slice(0, 300);
}

/** Waits until a system answers: that its programs say they are ready does not mean that all of them are. */
async function answers({ name, target }: System, generator: Generator): Promise<void> {
  const job = { kind: "small", target, concurrency: 1, warmMs: 0, ms: 1 } as const;
  const deadline = performance.now() + READY_MS;
  for (;;) {
    try {
      await generator.ask(job, READY_MS);
      return;
    } catch (error) {
      if (performance.now() > deadline) {
        throw new Error(`${name} does not answer: ${String(error)}`, { cause: error });
      }
      await pause(100);
    }
  }
}
