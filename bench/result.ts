/**
 * A whole run, as it is kept in bench/results: written here, read by comparisons, plots and READMEs.
 */
import { execFileSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg, release, totalmem } from "node:os";
import { dirname } from "node:path";
import type { CostLine } from "./cost.ts";
import { root } from "./process.ts";
import type { Row, Series } from "./row.ts";
import type { Verdict } from "./targets.ts";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  readonly workerd: string;
  /** Processes that wanted to run before the benchmark began: what else the machine was busy with. */
  readonly loadBefore: number;
}

export interface Skipped {
  readonly system: string;
  readonly reason: string;
}

export interface Result {
  readonly at: string;
  readonly commit: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly rows: readonly Row[];
  readonly series: readonly Series[];
  readonly skipped: readonly Skipped[];
  readonly verdicts: readonly Verdict[];
  readonly cost: readonly CostLine[];
}

export async function machine(): Promise<Machine> {
  const { version } = JSON.parse(
    await readFile(new URL("../node_modules/workerd/package.json", import.meta.url), "utf8"),
  ) as { version: string };
  const all = cpus();
  return {
    processor: all[0]?.model ?? "unknown",
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    system: `Linux ${release()}`,
    node: process.versions.node,
    workerd: version,
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(1)),
  };
}

/** What was measured: the commit, and whether the tree had changes beside it. */
export function commit(): string {
  try {
    const git = (...words: string[]): string =>
      execFileSync("git", words, { cwd: root, encoding: "utf8" }).trim();
    const changed = git("status", "--porcelain", "--", "codec", "edge", "agent") !== "";
    return `${git("rev-parse", "--short", "HEAD")}${changed ? " and changes" : ""}`;
  } catch {
    return "unknown";
  }
}

export async function readResult(path: string): Promise<Result> {
  return JSON.parse(await readFile(path, "utf8")) as Result;
}

/** Numbers keep four digits: more would be noise, and noise in every diff. */
export async function writeResult(path: string, result: Result): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const text = JSON.stringify(
    result,
    (_key, value: unknown) =>
      typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value,
    1,
  );
  await writeFile(path, `${text}\n`);
}
