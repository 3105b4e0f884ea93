/**
 * One run's stage: the edge, its agents, the network between them, and what they are blamed for.
 */
import { EDGE_RETAIN_BYTES, GRACE_MS } from "../../codec/limits.ts";
import { Agent } from "./agent.ts";
import { Blame } from "./blame.ts";
import type { Network } from "./cable.ts";
import { Edge } from "./edge.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

export class Setting {
  readonly world: World;
  readonly blame = new Blame();
  readonly network: Network;
  readonly edge: Edge;
  readonly agents: Agent[] = [];
  /** What each end may keep of messages that are not acknowledged. */
  readonly edgeRetainBytes: number;
  readonly agentRetainBytes: number | undefined;
  /** Whether there is so little memory that not everybody is let in. */
  readonly tight: boolean;
  readonly #agentBudgetBytes: number | undefined;

  constructor(world: World) {
    const { random } = world;
    this.world = world;
    this.network = networkOf(random);
    const tight = random.chance(0.3);
    this.tight = tight;
    // Less than any product would keep: both ends then wait for ACKs all the time, and for each other's.
    const both = random.chance(0.2);
    const little = random.skewed(2 * KiB, 128 * KiB);
    this.edgeRetainBytes = both || random.chance(0.2) ? little : EDGE_RETAIN_BYTES;
    this.agentRetainBytes = both || random.chance(0.2) ? little : undefined;
    this.#agentBudgetBytes =
      tight && random.chance(0.5) ? random.skewed(64 * KiB, 4 * MiB) : undefined;
    if (tight) this.blame.codes("overloaded");
    this.edge = new Edge({
      world,
      blame: this.blame,
      graceMs: GRACE_MS,
      budgetBytes: tight ? random.skewed(64 * KiB, 4 * MiB) : undefined,
      retainBytes: this.edgeRetainBytes,
    });
    const agents = random.pick([1, 1, 1, 2, 2, 3]);
    for (let i = 0; i < agents; i++) this.newAgent(false);
  }

  newAgent(replace: boolean): void {
    const { world, blame, network, edge } = this;
    this.agents.push(
      new Agent({
        world,
        blame,
        network,
        edge,
        name: `agent-${this.agents.length + 1}`,
        replace,
        budgetBytes: this.#agentBudgetBytes,
        retainBytes: this.agentRetainBytes,
      }),
    );
  }
}

function networkOf(random: Random): Network {
  return {
    latencyMs: random.chance(0.3) ? 0 : random.skewed(1, 200),
    jitterMs: random.chance(0.5) ? 0 : random.skewed(1, 100),
    bytesPerMs: random.skewed(100, 100_000),
    fullBytes: random.skewed(1 * KiB, 256 * KiB),
  };
}
