/**
 * One run: a setting and a load drawn from a seed, faults for a while, then none; and what has to hold of all that.
 */
import { GRACE_MS } from "../../codec/limits.ts";
import { checkAlways, checkIdle } from "./invariants.ts";
import { type Load, plainPlan, planOf } from "./plan.ts";
import type { Random } from "./random.ts";
import { Setting } from "./setting.ts";
import { type Fate, Visitor } from "./visitor.ts";
import { befall } from "./weather.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  /** What went wrong; undefined when nothing did. */
  readonly fault: Error | undefined;
  /** How many exchanges ended how. */
  readonly fates: Readonly<Record<Fate, number>>;
  readonly events: number;
  /** The time that passed in the world. */
  readonly simulatedMs: number;
}

/**
 * Once nothing is made worse any more, all that goes on has ended after this: graces, dead peers, and the longest body at
 * the pace of ten ACKs in ten seconds (`MOST_PONGS`) of the least that an end may retain here.
 */
const PROGRESS_MS = 1_200_000;
/** Whoever stalled last may be in the middle of it when the faults end: no pause is longer, and a break that is noticed at its end has a grace from then on. */
const SETTLED_MS = 60_000 + GRACE_MS + 5000;
/** How long a quiet tunnel may take for one more exchange: an agent may be between two dials. */
const PROBE_MS = 60_000;

/** Runs one seed. Lines of a trace are added to `trace`. */
export async function simulate(seed: number, trace?: string[]): Promise<Outcome> {
  const world = new World(seed, trace);
  const visitors: Visitor[] = [];
  let fault: Error | undefined;
  try {
    await play(world, visitors);
  } catch (error) {
    fault = error instanceof Error ? error : new Error(String(error));
  }
  const fates = { pending: 0, complete: 0, failed: 0, left: 0, evicted: 0 };
  for (const { fate } of visitors) fates[fate]++;
  return { seed, fault, fates, events: world.events, simulatedMs: world.nowMs };
}

async function play(world: World, visitors: Visitor[]): Promise<void> {
  const { random } = world;
  const load = loadOf(random);
  const setting = new Setting(world);
  const { edge, blame, agents } = setting;
  world.afterEach = () => checkAlways(setting);

  // Mostly the agents are there before the first visitor is.
  if (random.chance(0.15)) blame.codes("agent-offline");
  else await world.run(10_000, () => agents.every(({ dialer }) => dialer.greeted));
  const startMs = world.nowMs;
  const begin = (visitor: Visitor): void => {
    visitors.push(visitor);
    const { startsMs, leavesAfterMs } = visitor.plan;
    world.after(startsMs, () => {
      if (!visitor.pending) return;
      edge.request(visitor);
      if (leavesAfterMs !== undefined) world.after(leavesAfterMs, () => visitor.leave());
    });
  };
  for (let id = 1; id <= load.exchanges; id++)
    begin(new Visitor(world, blame, planOf(random, id, load)));
  const allowHarsh = random.chance(0.4);
  const faults = random.between(0, 12);
  for (let i = 0; i < faults; i++) {
    world.after(random.next() * load.withinMs, () => befall(setting, allowHarsh));
  }
  await world.run(startMs + load.withinMs, () => false);

  world.quiet = true;
  world.note("-- quiet");
  for (const agent of agents) agent.offlineUntilMs = 0;
  const isOver = (): boolean =>
    !visitors.some(({ pending }) => pending) && !agents.some(({ busy }) => busy);
  const isOverInTime = await world.run(world.nowMs + PROGRESS_MS, isOver);
  // Who falsifies counters can make an end believe that it has received what it has not.
  if (!isOverInTime && world.deceived) return;
  if (!isOverInTime) {
    const stuck = visitors.filter(({ pending }) => pending).map(({ name }) => name);
    world.violate(`no progress: ${stuck.join(", ") || "an origin is not told the end"}`);
  }
  await world.run(world.nowMs + SETTLED_MS, () => false);
  checkIdle(setting);

  if (!world.deceived && agents.some(({ gone, draining }) => !gone && !draining)) {
    blame.forget();
    if (setting.tight) blame.codes("overloaded");
    const probe = new Visitor(world, blame, plainPlan(load.exchanges + 1));
    begin(probe);
    if (!(await world.run(world.nowMs + PROBE_MS, () => !probe.pending))) {
      world.violate("a tunnel that nothing disturbs carries no exchange");
    }
  }
  // A violation of the last moment counts too.
  await world.run(world.nowMs, () => false);
}

function loadOf(random: Random): Load {
  const small = random.chance(0.8);
  return {
    exchanges: random.skewed(1, small ? 20 : 40),
    withinMs: random.skewed(500, 40_000),
    largestBytes: random.chance(0.1) ? 2 * 1024 * 1024 : 100 * 1024,
    sockets: random.chance(0.15) ? 0.6 : 0.08,
  };
}
