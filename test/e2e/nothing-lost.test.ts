/**
 * A network between agent and edge that cuts, swallows, stalls and delays: what is in flight goes on, to the byte.
 *
 * Moments are random; SEED=<n> in the environment repeats those of a run.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { Random } from "../simulation/random.ts";
import type { Cut } from "../support/fault-relay.ts";
import { type Kind, type Plan, planOf } from "../support/traffic.ts";
import { isIdle, useFaultyTunnel } from "../support/use-faulty-tunnel.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
process.stderr.write(`nothing-lost: SEED=${seed}\n`);
const random = new Random(seed);

const tunnel = useFaultyTunnel({ agent: ["--concurrency", "512"] });

let lastId = 0;
const plan = (kind: Kind, fields: Partial<Plan> = {}): Plan => ({
  ...planOf(random, ++lastId, [kind]),
  ...fields,
});

const CUTS: readonly Cut[] = ["rst", "fin"];

/** With the session of before or, when nothing was in flight, with another. */
async function connectedAgain(from: number): Promise<void> {
  const { agent } = tunnel;
  await Promise.any([
    agent.event("resumed", undefined, from),
    agent.event("connected", undefined, from),
  ]);
}

/** One more loss of the socket, at a random moment and in a random way, until the agent has dialled again. */
async function loseSocket(): Promise<void> {
  const { relay, agent } = tunnel;
  const from = agent.events.length;
  const cut = random.pick(CUTS);
  const direction = random.pick(["up", "down"] as const);
  const passage = await relay.nextTunnel();
  // The next dial may be lost as well: in its upgrade, with the HELLO, or right behind it. Each costs a wait.
  const dies = random.next();
  if (dies < 0.05) relay.traps.push({ direction, cut, bytes: random.between(1, 1000) });
  else if (dies < 0.1) relay.traps.push({ direction, cut, messages: random.between(1, 3) });
  if (random.chance(0.5)) passage.cutAfter(direction, random.skewed(1, 200_000), cut);
  // The moment is drawn, and nothing is hoped to have happened by then.
  await sleep(random.between(0, 40));
  passage.cut(cut);
  try {
    await agent.event("disconnected", undefined, from, 1000);
  } catch {
    // The signal of the loss before came late: the agent had left that socket by itself.
    await loseSocket();
    return;
  }
  // After several losses in a row it would wait up to a second each time. That is tested elsewhere.
  agent.kill("SIGHUP");
  await connectedAgain(from);
}

afterEach(async () => {
  tunnel.relay.traps.length = 0;
  tunnel.relay.delayMs = 0;
  await tunnel.status(isIdle, "the edge being idle again", 20_000);
}, 30_000);

describe("what is in flight goes on through one lost socket after the other", () => {
  test.for([
    ["download", { bytes: 16_000_000, pauseMs: 5 }],
    ["upload", { bytes: 8_000_000, pauseMs: 3 }],
    ["events", { bytes: 100 * 120, pauseMs: 10 }],
    ["duplex", { bytes: 4_000_000, pauseMs: 4 }],
  ] as const)("%s", async ([kind, fields]) => {
    let over = false;
    let losses = 0;
    const outcome = tunnel.traffic.run(plan(kind, fields)).finally(() => (over = true));
    await tunnel.status(({ agents }) => agents.some(({ streams }) => streams > 0), "its start");
    while (!over && losses < 12) {
      await loseSocket();
      losses++;
    }

    expect(await outcome).toBeUndefined();
    expect(losses).toBeGreaterThanOrEqual(3);
  });
});

test("200 cuts over mixed traffic: nothing fails, nothing is corrupted, nothing is served twice", async () => {
  const failures: string[] = [];
  let going = true;
  let done = 0;
  const work = async (): Promise<void> => {
    while (going) {
      const failure = await tunnel.traffic.run(planOf(random, ++lastId));
      if (failure !== undefined) failures.push(failure);
      done++;
    }
  };
  // One that is always there: a session without streams is not kept, and the agent says "connected" then.
  const workers = Array.from({ length: 12 }, work);
  const witness = (async () => {
    while (going) {
      const failure = await tunnel.traffic.run(plan("events", { bytes: 100 * 60, pauseMs: 50 }));
      if (failure !== undefined) failures.push(failure);
    }
  })();
  await tunnel.status(({ agents }) => agents.some(({ streams }) => streams > 1), "traffic");
  for (let cuts = 0; cuts < 200 && failures.length === 0; cuts++) await loseSocket();
  going = false;
  await Promise.all([...workers, witness]);

  expect(failures).toEqual([]);
  expect(done).toBeGreaterThan(100);
  expect(tunnel.origin.doubled).toEqual([]);
}, 120_000);
