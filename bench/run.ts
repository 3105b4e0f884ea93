/**
 * The command line: `npm run bench -- [--quick] [--only NAME] [--compare FILE] [--list]`.
 *
 * It measures, prints, keeps the result, and ends with 1 when something that is ours failed, gave a wrong answer, or
 * used more memory than it may. How fast anything was never decides that.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { comparison } from "./compare.ts";
import { costOfRows } from "./cost.ts";
import { faultsOf } from "./faults.ts";
import { inspectorRows } from "./inspector.ts";
import { memoryRows, STALLED } from "./memory.ts";
import { messageRows } from "./messages.ts";
import type { MicroQuestion } from "./micro.ts";
import { pathName, pathRows, pathsOf, throughputSeries } from "./path.ts";
import { fullPlan, type Plan, quickPlan } from "./plan.ts";
import { writePlots } from "./plots.ts";
import { Program, root, Worker } from "./process.ts";
import { ProgressLine } from "./progress.ts";
import { costText, skippedText, tableText, verdictText } from "./report.ts";
import { commit, machine, readResult, type Result, type Skipped, writeResult } from "./result.ts";
import { extras, type Row, type Series, type Subject, subjects } from "./row.ts";
import { shardRows, shardsRow } from "./shards.ts";
import { startSluice } from "./sluice.ts";
import { noPath, type Path, Site, type System } from "./system.ts";
import { startSystems } from "./systems.ts";
import { verdictsOf } from "./targets.ts";
import { type Generators, latencySeries, tunnelRows } from "./tunnel.ts";
import { startGenerator } from "./work.ts";

const file = (name: string): string => new URL(name, import.meta.url).pathname;

const about: Readonly<Record<Subject, string>> = {
  codec: "frames to bytes and back, beside memcpy, msgpack and naive codecs",
  mux: "a frame's cost with many streams, fairness, credit",
  tunnel: "everything real on loopback, beside floors and peers",
  messages: "WebSocket messages at the edge for each request and MiB",
  memory: "what edge and agent grow by while a visitor does not read",
  path: "longer and thinner paths between agent and edge",
  inspector: "what the inspector costs the agent (only when asked for)",
  shards: "one service over 1, 2 and 4 objects, each with a tenth of a core",
};

class Run {
  readonly rows: Row[] = [];
  readonly series: Series[] = [];
  readonly skipped: Skipped[] = [];
  readonly #plan: Plan;
  readonly #only: string;
  readonly #progress: ProgressLine;

  constructor(plan: Plan, only: string, progress: ProgressLine) {
    this.#plan = plan;
    this.#only = only;
    this.#progress = progress;
  }

  async all(): Promise<void> {
    for (const subject of ["codec", "mux"] as const) {
      if (this.#wants(subject)) await this.#inMemory(subject);
    }
    if (
      !(["tunnel", "messages", "memory", "path", "shards", "inspector"] as const).some((one) =>
        this.#wants(one),
      )
    )
      return;
    const origin = Program.node(file("site/origin.ts"), []);
    const generators = { measured: startGenerator(), beside: startGenerator() };
    try {
      const port = Number((await origin.line(/listening on (\d+)/))[1]);
      if (this.#wants("memory") && STALLED.includes(this.#rowsOnly)) {
        await this.#memory(port, generators);
      }
      if (this.#wants("tunnel")) await this.#onLoopback(port, generators);
      if (this.#wants("messages")) await this.#messages(port, generators);
      for (const path of this.#wants("path") ? pathsOf(this.#plan) : []) {
        await this.#overPath(port, path, generators);
      }
      if (this.#wants("shards")) await this.#shards(port, generators);
      if (this.#wants("inspector")) {
        const show = (what: string): void => this.#progress.show(what);
        this.rows.push(...(await inspectorRows(port, generators, this.#plan, show)));
      }
    } finally {
      await Promise.all([origin, ...Object.values(generators)].map((part) => part.stop()));
    }
  }

  /** `--only` is a subject, or a part of the names of rows of any subject. */
  #wants(subject: Subject): boolean {
    if (this.#only === subject) return true;
    const extra = extras.some((one) => one === subject);
    return !extra && (this.#rowsOnly !== "" || this.#only === "");
  }

  get #rowsOnly(): string {
    return [...subjects, ...extras].some((subject) => subject === this.#only) ? "" : this.#only;
  }

  async #inMemory(subject: "codec" | "mux"): Promise<void> {
    this.#progress.show(`${subject} · in memory`);
    const worker = new Worker<MicroQuestion, Row[]>(file("micro.ts"));
    const question = { subject, plan: this.#plan, only: this.#rowsOnly };
    this.rows.push(...(await worker.ask(question, 600_000)));
    await worker.stop();
  }

  /** In processes of its own: those that have done other work have grown, and not everybody gets over a stalled reader. */
  async #memory(port: number, generators: Generators): Promise<void> {
    await this.#with(port, noPath, generators, async (systems, show) => {
      const { rows, series } = await memoryRows(systems, generators, this.#plan, show);
      this.rows.push(...rows);
      this.series.push(...series);
    });
  }

  async #onLoopback(port: number, generators: Generators): Promise<void> {
    await this.#with(port, noPath, generators, async (systems, show) => {
      this.rows.push(...(await tunnelRows(systems, generators, this.#plan, this.#rowsOnly, show)));
    });
    this.series.push(...latencySeries(this.rows, this.#plan));
  }

  async #messages(port: number, generators: Generators): Promise<void> {
    const site = new Site(port, noPath);
    const sluice = await startSluice(site, true);
    const rows = await messageRows(sluice, generators, this.#plan, (what) =>
      this.#progress.show(what),
    );
    this.rows.push(...rows.filter(({ name }) => name.includes(this.#rowsOnly)));
    await sluice.stop();
    await site.stop();
  }

  async #shards(port: number, generators: Generators): Promise<void> {
    if (!shardsRow(1).includes(this.#rowsOnly)) return;
    this.rows.push(
      ...(await shardRows(port, generators, this.#plan, (what) => this.#progress.show(what))),
    );
  }

  async #overPath(port: number, path: Path, generators: Generators): Promise<void> {
    this.#progress.show(`path · ${pathName(path)}`);
    await this.#with(port, path, generators, async (systems, show) => {
      this.rows.push(
        ...(await pathRows(path, systems, generators, this.#plan, this.#rowsOnly, show)),
      );
    });
  }

  /** Sets all systems up on a path of their own, for as long as `measure` takes. */
  async #with(
    port: number,
    path: Path,
    generators: Generators,
    measure: (systems: readonly System[], show: (what: string) => void) => Promise<void>,
  ): Promise<void> {
    const site = new Site(port, path);
    const { withPeers } = this.#plan;
    const systems = await startSystems(
      site,
      generators.measured,
      withPeers,
      this.skipped,
      this.#progress,
    );
    this.skipped.push(...systems.skipped);
    await measure(systems.all, (what) => this.#progress.show(what));
    await systems.stop();
    await site.stop();
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string", default: "" },
      compare: { type: "string" },
      list: { type: "boolean", default: false },
    },
  });
  if (values.list) {
    for (const subject of [...subjects, ...extras])
      console.log(`${subject.padEnd(10)}${about[subject]}`);
    console.log("\n--only takes one of these, or a part of the name of rows, e.g. 'small, c=64'.");
    return;
  }
  const plan = values.quick ? quickPlan : fullPlan;
  const before = values.compare === undefined ? undefined : await readResult(values.compare);
  const progress = new ProgressLine();
  const run = new Run(plan, values.only, progress);
  const here = await machine();
  await run.all();
  progress.end();
  const { rows, skipped } = run;
  const result: Result = {
    at: new Date().toISOString(),
    commit: commit(),
    quick: plan.quick,
    machine: here,
    rows,
    series: [...run.series, ...throughputSeries(rows, plan)],
    skipped,
    verdicts: verdictsOf(rows),
    cost: costOfRows(rows),
  };
  console.log(tableText(rows));
  if (result.cost.length > 0) console.log(`\ncost at published prices\n${costText(result.cost)}`);
  if (skipped.length > 0) console.log(`\nwithout\n${skippedText(skipped)}`);
  const verdicts = result.verdicts.filter(({ value }) => value !== undefined);
  if (verdicts.length > 0) console.log(`\ntargets\n${verdictText(verdicts)}`);
  // Only a whole run is one whose figures may be published.
  const whole = !plan.quick && values.only === "";
  const directory = join(root, "bench/results", whole ? "" : "tmp");
  await mkdir(directory, { recursive: true });
  const kept = join(directory, whole ? "full.json" : plan.quick ? "quick.json" : "part.json");
  await writeResult(kept, result);
  await writePlots(directory, result);
  console.log(`\nkept in ${kept}`);
  if (before !== undefined) console.log(`\n${comparison(before, result)}`);
  const faults = faultsOf(rows, result.verdicts, values.only === "");
  for (const fault of faults) console.error(`FAILED ${fault}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}

try {
  await main();
} catch (error) {
  console.error(`FAILED ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
// Whatever a fault left behind must not keep us here.
process.exit();
