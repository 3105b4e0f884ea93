/**
 * Writes the published figures into README.md and bench/README.md, between markers, from bench/results/full.json. Nobody
 * types them. With `--check` it writes nothing and ends with 1 when a file does not say what the result says.
 *
 * A marker is `<!-- bench:NAME -->` … `<!-- /bench:NAME -->`, each on a line of its own; the names are the keys of `sections`.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "./process.ts";
import { costCells, markdownTable, number, rowsMarkdown, verdictCells } from "./report.ts";
import { readResult, type Result } from "./result.ts";
import { type Kind, type Row, type Subject, subjects } from "./row.ts";
import { headlineOf } from "./headline.ts";
import { type Verdict, verdictsOf } from "./targets.ts";
import { BESIDE_DOWNLOADS, downloadRow, smallRow, uploadRow } from "./tunnel.ts";
import { LIMITED_RTT_MS, pathName } from "./path.ts";
import { fullPlan } from "./plan.ts";
import { STALLED } from "./memory.ts";

const files = ["README.md", "bench/README.md", "docs/limits-and-cost.md"];

/** What a marker's name stands for. */
const sections: Readonly<Record<string, (result: Result) => string>> = {
  machine: ({ at, commit, machine }) =>
    `Measured ${at.slice(0, 10)} at ${commit} on ${machine.cores} cores (${machine.processor}), ${machine.memoryGiB} GiB, ` +
    `${machine.system}, Node ${machine.node}, workerd ${machine.workerd}; load before the run ${machine.loadBefore}.`,
  targets: ({ verdicts }) =>
    markdownTable(["target", "asked for", "measured", ""], verdicts.map(verdictCells)),
  score: ({ verdicts }) => score(verdicts),
  misses,
  cost: ({ cost }) => markdownTable(["what", "dollars", "made of"], cost.map(costCells)),
  skipped: ({ skipped }) =>
    skipped.length === 0
      ? "Every peer could be measured."
      : skipped.map(({ system, reason }) => `- ${system}: ${reason.split("\n")[0]}`).join("\n"),
  summary: ({ rows }) => summary(rows),
  ...Object.fromEntries(
    subjects.map((subject) => [
      subject,
      ({ rows }: Result) => rowsMarkdown(ofSubject(rows, subject)),
    ]),
  ),
};

function score(verdicts: readonly Verdict[]): string {
  const of = (met: boolean | undefined): readonly Verdict[] =>
    verdicts.filter((verdict) => verdict.met === met);
  const missed = of(false).map(({ target }) => target);
  const unknown = of(undefined).map(({ target }) => target);
  return [
    `${of(true).length} of ${verdicts.length} targets are met.`,
    ...(missed.length > 0 ? [`Missed: ${missed.join("; ")}.`] : []),
    ...(unknown.length > 0 ? [`Not measured: ${unknown.join("; ")}.`] : []),
  ].join(" ");
}

function ofSubject(rows: readonly Row[], subject: Subject): Row[] {
  return rows.filter((row) => row.subject === subject);
}

/** One table for the front page: the headline of the rows that matter most, a column for each system. */
function summary(rows: readonly Row[]): string {
  const at = (rttMs: number): string => `download, 1, ${pathName({ rttMs, mbitPerS: 0 })}`;
  const names: [string, string][] = [
    [smallRow(1), "one small request at a time, p50"],
    [smallRow(64), "small requests, 64 at a time"],
    [downloadRow(1), "one download"],
    [uploadRow(1), "one upload"],
    [BESIDE_DOWNLOADS, "small request beside 2 downloads, p50"],
    [at(50), "one download over 50 ms"],
    [at(150), "one download over 150 ms"],
    [
      `small beside a download, ${pathName({ rttMs: LIMITED_RTT_MS, mbitPerS: fullPlan.mbitPerS })}`,
      "small request beside a download on 20 Mbit/s and 50 ms, p50",
    ],
    [STALLED, "edge's memory for one stalled reader"],
  ];
  const shown = new Set(names.map(([name]) => name));
  const systems = [
    ...new Set(
      rows
        .filter(({ name, kind }) => shown.has(name) && kind !== "floor")
        .map(({ system }) => system),
    ),
  ];
  const lines = names.map(([name, words]) => [
    words,
    ...systems.map((system) => {
      const row = rows.find((one) => one.name === name && one.system === system);
      const headline = row === undefined ? undefined : row.figures[headlineOf(row) ?? ""];
      const failed = row?.fault === undefined ? [] : ["failed"];
      const value = headline === undefined ? [] : [`${number(headline.median)} ${headline.unit}`];
      return [...value, ...failed].join(", then ") || "–";
    }),
  ]);
  return markdownTable(["", ...systems], lines);
}

/** Each target that was missed, with what floors and peers reach of the same: whether anything could have met it here. */
function misses({ rows, verdicts }: Result): string {
  const others = [...new Map(rows.map(({ system, kind }) => [system, kind]))].filter(
    ([, kind]) => kind !== "ours",
  );
  const reached = others.map(([system, kind]) => ({
    system,
    kind,
    verdicts: verdictsOf(rows, system),
  }));
  const missed = verdicts.filter(({ met }) => met === false);
  if (missed.length === 0) return "Every target is met.";
  return missed
    .map((verdict) => {
      const [target, asked = "", measured = "", by = ""] = verdictCells(verdict);
      const of = (kind: Kind): string => {
        const values = reached
          .filter((one) => one.kind === kind)
          .flatMap(({ system, verdicts: theirs }) => {
            const value = theirs.find((one) => one.target === target)?.value;
            // What it is divided by is 1 of itself.
            return value === undefined || value === 1
              ? []
              : [`${system} ${number(value)} ${verdict.unit}`.trim()];
          });
        return values.length === 0 ? "" : `\n  - ${kind}s: ${values.join("; ")}`;
      };
      return `- **${target}**: asked for ${asked}, measured ${measured}, ${by}.${of("floor")}${of("peer")}`;
    })
    .join("\n");
}

/** `text` with every marked section as `result` says. @throws Error for a marker that stands for nothing, or does not end. */
export function filled(text: string, result: Result): string {
  const marker = /^<!-- bench:(\w+) -->$(?:[^]*?^(<!-- \/bench:\1 -->)$)?/gm;
  return text.replaceAll(marker, (_whole, name: string, end: string | undefined) => {
    const section = sections[name];
    if (section === undefined) throw new Error(`there is no figure called ${name}`);
    if (end === undefined) throw new Error(`the marker ${name} does not end`);
    return `<!-- bench:${name} -->\n\n${section(result)}\n\n${end}`;
  });
}

async function main(): Promise<void> {
  const check = process.argv.includes("--check");
  const result = await readResult(join(root, "bench/results/full.json"));
  for (const file of files) {
    const path = join(root, file);
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    const now = filled(text, result);
    if (now === text) continue;
    if (check) {
      console.error(
        `${file} does not say what bench/results/full.json says: run node bench/readme.ts`,
      );
      process.exitCode = 1;
    } else {
      await writeFile(path, now);
    }
  }
}

if (import.meta.main) await main();
