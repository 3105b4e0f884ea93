/**
 * `npm run soak`: a whole tunnel under mixed traffic and random faults, for minutes, and a report of what it did.
 *
 *   npm run soak [-- --minutes 10 --seed N]
 *
 * Exit 1 when an exchange failed that nobody cancelled, came back wrong or was served twice, or when memory was not given
 * back.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Random } from "../simulation/random.ts";
import type { Cut } from "../support/fault-relay.ts";
import { FaultRelay } from "../support/fault-relay.ts";
import { procfs, residentMiB } from "../support/memory.ts";
import type { Program } from "../support/program.ts";
import { planOf, Traffic, TrafficOrigin } from "../support/traffic.ts";
import { Edge } from "../support/tunnel.ts";
import { poll } from "../support/until.ts";
import { isIdle, statusOf } from "../support/use-faulty-tunnel.ts";

const SERVICE = "soak";
const WORKERS = 16;
/** How often memory is looked at. */
const SAMPLE_MS = 5000;
/** Memory of the last third of a run may exceed that of the second by so much: the heap of a runtime breathes. */
const BREATH_MIB = 48;

interface Sample {
  readonly atS: number;
  readonly edgeMiB: number;
  readonly agentMiB: number;
}

const FAULTS = [
  "cut",
  "cut",
  "cut in a frame",
  "cut in a frame",
  "cut again in the dial",
  "refused for a while",
  "stall",
  "swallowed",
  "swallowed one way",
  "slow network",
  "SIGHUP",
  "SIGHUP",
  "slept",
  "replaced",
] as const;
type Fault = (typeof FAULTS)[number];
const CUTS: readonly Cut[] = ["rst", "fin"];

const say = (line: string): void => void process.stdout.write(`${line}\n`);

class Soak {
  readonly #random: Random;
  readonly #edge: Edge;
  readonly #relay: FaultRelay;
  readonly #origin: TrafficOrigin;
  readonly #traffic: Traffic;
  readonly #token: string;
  #agent: Program;
  #lastId = 0;
  #going = true;
  readonly failures: string[] = [];
  readonly faults = new Map<Fault, number>();
  readonly samples: Sample[] = [];
  done = 0;
  cancelled = 0;

  private constructor(
    seed: number,
    edge: Edge,
    relay: FaultRelay,
    origin: TrafficOrigin,
    token: string,
    agent: Program,
  ) {
    this.#random = new Random(seed);
    this.#edge = edge;
    this.#relay = relay;
    this.#origin = origin;
    this.#token = token;
    this.#agent = agent;
    this.#traffic = new Traffic(edge.place(SERVICE));
  }

  static async start(seed: number): Promise<Soak> {
    const origin = await TrafficOrigin.start();
    const edge = await Edge.start();
    const relay = await FaultRelay.start(edge.port);
    const token = await edge.token({ service: SERVICE });
    const agent = await edge.agent({ service: SERVICE, port: origin.port, token, url: relay.url });
    return new Soak(seed, edge, relay, origin, token, agent);
  }

  get bytes(): number {
    return this.#traffic.bytes;
  }

  async run(ms: number): Promise<void> {
    const startedMs = performance.now();
    const sampling = setInterval(() => this.#sample(performance.now() - startedMs), SAMPLE_MS);
    const workers = Array.from({ length: WORKERS }, async () => this.#work());
    try {
      while (performance.now() - startedMs < ms) {
        await this.#fault(this.#random.pick(FAULTS));
        await sleep(this.#random.between(0, 1000));
        this.#relay.forget();
      }
    } catch (error) {
      this.failures.push(`the agent did not come back: ${String(error)}`);
    } finally {
      this.#going = false;
      clearInterval(sampling);
    }
    await Promise.all(workers);
  }

  /** Waits until the edge holds nothing for anybody; false when it goes on holding. */
  async idle(): Promise<boolean> {
    try {
      await poll(
        async () => isIdle(await statusOf(this.#edge, SERVICE, this.#token)),
        "the edge being idle",
        30_000,
        100,
      );
      return true;
    } catch {
      say(JSON.stringify(await statusOf(this.#edge, SERVICE, this.#token)));
      return false;
    }
  }

  get doubled(): readonly number[] {
    return this.#origin.doubled;
  }

  async stop(): Promise<void> {
    this.#traffic.stop();
    await this.#edge.stop();
    await this.#relay.stop();
    await this.#origin.stop();
  }

  async #work(): Promise<void> {
    while (this.#going) {
      const plan = planOf(this.#random, ++this.#lastId);
      const cancels = plan.kind !== "small" && plan.kind !== "post" && this.#random.chance(0.1);
      const failure = await this.#traffic.run(
        cancels ? { ...plan, cancelAfter: this.#random.between(0, plan.bytes) } : plan,
      );
      if (cancels) this.cancelled++;
      if (failure === undefined) this.done++;
      else {
        this.failures.push(failure);
        say(`FAILED ${failure}`);
      }
    }
  }

  async #fault(fault: Fault): Promise<void> {
    const random = this.#random;
    const relay = this.#relay;
    const from = this.#agent.events.length;
    const direction = random.pick(["up", "down"] as const);
    const cut = random.pick(CUTS);
    const passage = await relay.nextTunnel(30_000);
    switch (fault) {
      case "cut":
        passage.cut(cut);
        break;
      case "cut in a frame":
        passage.cutAfter(direction, random.skewed(1, 500_000), cut);
        await sleep(random.between(10, 500));
        passage.cut(cut);
        break;
      case "cut again in the dial":
        relay.traps.push(
          random.chance(0.5)
            ? { direction, cut, bytes: random.between(1, 1000) }
            : { direction, cut, messages: random.between(1, 4) },
        );
        passage.cut(cut);
        break;
      case "refused for a while":
        relay.refuses = true;
        passage.cut(cut);
        await sleep(random.between(100, 5000));
        relay.refuses = false;
        break;
      case "stall":
        passage.stall();
        await sleep(random.between(100, 3000));
        passage.resume();
        this.#count(fault);
        return;
      case "swallowed":
        passage.swallow();
        break;
      case "swallowed one way":
        passage.swallow([direction]);
        break;
      case "slow network":
        relay.delayMs = random.between(5, 150);
        await sleep(random.between(500, 3000));
        relay.delayMs = 0;
        this.#count(fault);
        return;
      case "SIGHUP":
        this.#agent.kill("SIGHUP");
        break;
      case "slept":
        this.#agent.kill("SIGSTOP");
        await sleep(random.between(3600, 7000));
        passage.swallow();
        this.#agent.kill("SIGCONT");
        break;
      case "replaced":
        await this.#replace();
        this.#count(fault);
        return;
    }
    await Promise.any([
      this.#agent.event("resumed", undefined, from, 30_000),
      this.#agent.event("connected", undefined, from, 30_000),
    ]);
    this.#count(fault);
  }

  /** Blue and green: another agent takes over, and the one before finishes what it has. */
  async #replace(): Promise<void> {
    const before = this.#agent;
    this.#agent = await this.#edge.agent({
      service: SERVICE,
      port: this.#origin.port,
      token: this.#token,
      url: this.#relay.url,
      flags: ["--replace"],
    });
    const { code } = await before.exit(60_000);
    if (code !== 0) this.failures.push(`a replaced agent ended with ${code}: ${before.stderr}`);
  }

  #count(fault: Fault): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  #sample(ms: number): void {
    if (!procfs || this.#agent.ended) return;
    const edgeMiB = Math.round(residentMiB(this.#edge.workerdPid));
    const agentMiB = Math.round(residentMiB(this.#agent.pid));
    const atS = Math.round(ms / 1000);
    this.samples.push({ atS, edgeMiB, agentMiB });
    if (this.samples.length % 6 === 0) {
      say(
        `${atS} s: ${this.done} exchanges, ${this.failures.length} failed; edge ${edgeMiB} MiB, agent ${agentMiB} MiB`,
      );
    }
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

/** By how many MiB the last third of a run is above the second. */
function growth(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const third = Math.floor(samples.length / 3);
  const last = samples.slice(2 * third);
  const before = samples.slice(third, 2 * third);
  return Math.round(mean(last.map((each) => of(each))) - mean(before.map((each) => of(each))));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { minutes: { type: "string", default: "10" }, seed: { type: "string" } },
  });
  const minutes = Number(values.minutes);
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  say(`soak: ${minutes} minutes, --seed ${seed}`);
  const soak = await Soak.start(seed);
  try {
    await soak.run(minutes * 60_000);
    const wasIdle = await soak.idle();
    const { samples, failures, faults, doubled } = soak;
    const edgeGrowth = growth(samples, ({ edgeMiB }) => edgeMiB);
    const agentGrowth = growth(samples, ({ agentMiB }) => agentMiB);
    const total = [...faults.values()].reduce((sum, times) => sum + times, 0);
    say("");
    say(
      `exchanges  ${soak.done} well, of them ${soak.cancelled} cancelled by their visitors; ${failures.length} failed; ${doubled.length} served twice`,
    );
    say(`bytes      ${(soak.bytes / 1e6).toFixed(0)} MB, every one compared`);
    say(
      `faults     ${total} survived: ${[...faults].map(([fault, times]) => `${fault} ${times}`).join(", ")}`,
    );
    say(
      `edge MiB   ${samples.map(({ edgeMiB }) => edgeMiB).join(" ")} (last third against second: ${edgeGrowth})`,
    );
    say(
      `agent MiB  ${samples.map(({ agentMiB }) => agentMiB).join(" ")} (last third against second: ${agentGrowth})`,
    );
    say(`idle       ${wasIdle ? "nothing is held" : "NOT idle: see above"}`);
    for (const failure of failures) say(`failed     ${failure}`);
    const isFlat = edgeGrowth <= BREATH_MIB && agentGrowth <= BREATH_MIB;
    if (!isFlat) say("memory     NOT flat");
    const isWell = failures.length === 0 && doubled.length === 0 && wasIdle && isFlat;
    say(isWell ? "nothing lost" : `LOST: repeat with --minutes ${minutes} --seed ${seed}`);
    process.exitCode = isWell ? 0 : 1;
  } finally {
    await soak.stop();
  }
}

await main();
