/**
 * `npm run simulate`: runs seeds on all cores until one fails, or replays one.
 *
 *   npm run simulate -- --seeds 100000 [--from S] [--seconds T] [--workers N] [--plant NAME] [--all]
 *   npm run simulate -- --seed S [--trace] [--plant NAME]
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { isPlant, plant, plants } from "./planted.ts";
import { simulate } from "./run.ts";

/** How many seeds a worker takes at once. */
const BATCH = 200;

interface Batch {
  readonly from: number;
  readonly to: number;
}

interface Report {
  readonly runs: number;
  readonly simulatedMs: number;
  readonly exchanges: number;
  readonly failures: readonly { readonly seed: number; readonly says: string }[];
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function options() {
  return parseArgs({
    options: {
      seed: { type: "string" },
      trace: { type: "boolean", default: false },
      seeds: { type: "string", default: "10000" },
      from: { type: "string" },
      seconds: { type: "string", default: "Infinity" },
      workers: { type: "string", default: String(availableParallelism()) },
      plant: { type: "string" },
      all: { type: "boolean", default: false },
    },
  }).values;
}

async function replay(seed: number, wantsTrace: boolean): Promise<void> {
  const trace: string[] = [];
  const { fault, events, simulatedMs, fates } = await simulate(seed, trace);
  if (wantsTrace) for (const line of trace) say(line);
  say(
    `seed ${seed}: ${events} events, ${Math.round(simulatedMs / 1000)} s, ${JSON.stringify(fates)}`,
  );
  if (fault !== undefined) {
    say(fault.stack ?? fault.message);
    process.exitCode = 1;
  }
}

async function runBatch({ from, to }: Batch): Promise<Report> {
  const failures: { seed: number; says: string }[] = [];
  let simulatedMs = 0;
  let exchanges = 0;
  for (let seed = from; seed < to; seed++) {
    const outcome = await simulate(seed);
    simulatedMs += outcome.simulatedMs;
    for (const count of Object.values(outcome.fates)) exchanges += count;
    if (outcome.fault !== undefined) failures.push({ seed, says: outcome.fault.message });
  }
  return { runs: to - from, simulatedMs, exchanges, failures };
}

async function runAll(values: ReturnType<typeof options>): Promise<void> {
  const first = Number(values.from ?? Math.floor(Math.random() * 2 ** 40));
  const last = first + Number(values.seeds);
  const startedMs = performance.now();
  const untilMs = startedMs + Number(values.seconds) * 1000;
  const planted = values.plant === undefined ? "" : ` --plant ${values.plant}`;
  let next = first;
  let runs = 0;
  let simulatedMs = 0;
  let exchanges = 0;
  let failed = 0;
  let saidMs = startedMs;
  const progress = (): void => {
    const seconds = (performance.now() - startedMs) / 1000;
    say(
      `${runs} runs in ${seconds.toFixed(0)} s (${Math.round(runs / seconds)}/s), ${exchanges} exchanges, ` +
        `${(simulatedMs / 3_600_000).toFixed(1)} h simulated, ${failed} failed`,
    );
  };
  const batch = (): Batch | undefined => {
    const enough = failed > 0 && !values.all;
    if (next >= last || enough || performance.now() >= untilMs) return undefined;
    const from = next;
    next = Math.min(last, from + BATCH);
    return { from, to: next };
  };
  const take = (report: Report): void => {
    runs += report.runs;
    simulatedMs += report.simulatedMs;
    exchanges += report.exchanges;
    failed += report.failures.length;
    for (const { seed, says } of report.failures) {
      say(`${says}\n  npm run simulate -- --seed ${seed} --trace${planted}`);
    }
    if (performance.now() - saidMs < 10_000) return;
    saidMs = performance.now();
    progress();
  };
  say(`seeds ${first} to ${last - 1}`);
  await Promise.all(
    Array.from({ length: Number(values.workers) }, async () => {
      const worker = new Worker(new URL(import.meta.url), { workerData: values.plant });
      for (let todo = batch(); todo !== undefined; todo = batch()) {
        const { promise, resolve, reject } = Promise.withResolvers<Report>();
        worker.once("message", resolve);
        worker.once("error", reject);
        worker.postMessage(todo);
        take(await promise);
        worker.off("error", reject);
      }
      await worker.terminate();
    }),
  );
  progress();
  if (failed > 0) process.exitCode = 1;
}

if (isMainThread) {
  const values = options();
  if (values.plant !== undefined && !isPlant(values.plant)) {
    say(`--plant is one of ${plants.join(", ")}`);
    process.exitCode = 2;
  } else if (values.seed === undefined) await runAll(values);
  else {
    if (values.plant !== undefined) plant(values.plant);
    await replay(Number(values.seed), values.trace);
  }
} else {
  if (typeof workerData === "string" && isPlant(workerData)) plant(workerData);
  parentPort?.on("message", (batch: Batch) => {
    void runBatch(batch).then((report) => parentPort?.postMessage(report));
  });
}
