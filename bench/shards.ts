/**
 * One service over several objects: whether what it answers rises with their number.
 *
 * All objects of one workerd share a thread, so each shard is an edge of its own here, behind a stand-in for the Worker, and
 * gets a tenth of a core, so that two cores are enough for all of them; the one agent is not held back.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Plan } from "./plan.ts";
import { family, flags, Program, Worker } from "./process.ts";
import type { Row } from "./row.ts";
import { type Progress, socketRow } from "./rows.ts";
import type { SpreadOptions } from "./site/spread.ts";
import { cli, edgeWith, SERVICE, secretIn, tokenOf } from "./sluice.ts";
import type { System } from "./system.ts";
import { temporary } from "./temporary.ts";
import { throttle } from "./throttle.ts";
import { type Generators, small } from "./tunnel.ts";
import { measureWork, smallUnits } from "./work.ts";

const SHARDS = [1, 2, 4] as const;

/** Of a core, for each shard. */
const SHARE = 0.1;

/** Requests at once for each shard: more than one answers in a turn of its tenth of a core. */
const EACH = 32;

export const shardsRow = (shards: number): string =>
  `small, ${shards} shard${shards === 1 ? "" : "s"} of a tenth of a core`;

const spreadFile = new URL("site/spread.ts", import.meta.url).pathname;

export async function shardRows(
  originPort: number,
  { measured }: Generators,
  plan: Plan,
  progress: Progress,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const shards of SHARDS) {
    const system = await startShards(originPort, shards);
    const free = throttle(system.edge(), SHARE);
    try {
      const row = {
        subject: "shards",
        name: shardsRow(shards),
        systems: [system],
        rounds: plan.pathRounds,
        units: smallUnits,
        measure: () => measureWork(measured, system, small(system, plan, EACH * shards)),
      } as const;
      rows.push(...(await socketRow(row, progress)));
    } finally {
      free();
      await system.stop();
    }
  }
  return rows;
}

async function startShards(originPort: number, shards: number): Promise<System> {
  const directory = await temporary("shards");
  const secretFile = await secretIn(directory);
  const tokenFile = join(directory, "token");
  await writeFile(tokenFile, await tokenOf(secretFile), { mode: 0o600 });
  const edges = await Promise.all(Array.from({ length: shards }, () => edgeWith(secretFile)));
  const options: SpreadOptions = { ports: edges.map(({ port }) => port) };
  const spread = new Worker<undefined, number>(spreadFile, [JSON.stringify(options)]);
  const port = await spread.ask(undefined);
  const connect = flags({
    "--edge": `http://127.0.0.1:${port}`,
    "--service": SERVICE,
    "--origin": `http://127.0.0.1:${originPort}`,
    "--token-file": tokenFile,
    "--concurrency": 512,
  });
  const agent = Program.node(cli, ["connect", ...connect, "--json"], {
    log: join(directory, "agent.log"),
  });
  // One connection for each shard.
  await agent.line(/"event":"connected"/);
  if (shards > 1) await agent.line(new RegExp(`"event":"connected".*"shard":${shards - 1},`));
  return {
    name: "sluice",
    kind: "ours",
    target: { port, prefix: `/send/${SERVICE}` },
    does: ["small"],
    edge: () => edges.flatMap(({ program }) => family(program.pid, /^workerd/)),
    agent: () => [agent.pid],
    stop: async () => {
      await Promise.all([agent, spread, ...edges.map(({ program }) => program)].map(end));
    },
  };
}

function end(part: { stop(): Promise<void> }): Promise<void> {
  return part.stop();
}
