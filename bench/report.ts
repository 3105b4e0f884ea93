/**
 * The result as text: for the terminal, and as Markdown for the READMEs. It prints what it is given and judges nothing.
 */
import type { CostLine } from "./cost.ts";
import { headlineOf, ratioToFloor } from "./headline.ts";
import type { Skipped } from "./result.ts";
import type { Figure, Row } from "./row.ts";
import type { Verdict } from "./targets.ts";

/** Columns of a table; the first is text, the others are numbers. */
export type Cells = readonly string[];

/** Three digits, and no exponent: 0.0123, 1.23, 12.3, 123, 12,300. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(Number(value.toPrecision(3))).toLocaleString("en");
  if (size >= 100 || size === 0) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : size >= 0.1 ? 2 : 3);
}

function figure({ median, spread }: Figure): string {
  return `${number(median)}${spread > 0 ? ` ±${number(spread)}` : ""}`;
}

/** Rows that were measured beside each other, in order. */
export function groups(rows: readonly Row[]): Row[][] {
  const found = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row.subject} · ${row.name}`;
    found.set(key, [...(found.get(key) ?? []), row]);
  }
  return [...found.values()];
}

/** A group as cells: a line for each system, a column for each figure, the headline first. */
function groupCells(group: readonly Row[], rows: readonly Row[]): { head: Cells; lines: Cells[] } {
  const units = new Map<string, string>();
  for (const { figures } of group) {
    for (const [name, { unit }] of Object.entries(figures)) units.set(name, unit);
  }
  const first = group.flatMap((row) => headlineOf(row) ?? [])[0];
  const names = [...units.keys()].toSorted((a, b) => Number(b === first) - Number(a === first));
  const head = ["", "÷ floor", ...names.map((name) => `${name}, ${units.get(name) ?? ""}`)];
  const lines = group.map((row): Cells => {
    const ratio = ratioToFloor(row, rows);
    const cells = names.map((name) => {
      const found = row.figures[name];
      return found === undefined ? "" : figure(found);
    });
    const fault = row.fault === undefined ? [] : [`failed: ${row.fault}`];
    return [row.system, ratio === undefined ? "" : number(ratio), ...cells, ...fault];
  });
  return { head, lines };
}

/** One table for the terminal: a block for each row, a line for each system. */
export function tableText(rows: readonly Row[]): string {
  const blocks = groups(rows).map((group) => {
    const { head, lines } = groupCells(group, rows);
    const title = `${group[0]?.subject ?? ""} · ${group[0]?.name ?? ""}`;
    return `${title}\n${align([head, ...lines], "  ")}`;
  });
  return blocks.join("\n\n");
}

export function verdictText(verdicts: readonly Verdict[]): string {
  return align(verdicts.map(verdictCells), "  ");
}

export function verdictCells({ target, value, limit, unit, bound, met }: Verdict): Cells {
  const asked = `${bound} ${number(limit)} ${unit}`.trim();
  if (value === undefined || met === undefined) return [target, asked, "", "not measured"];
  const off = Math.abs(value / limit - 1) * 100;
  const by = `by ${number(off)} %`;
  return [target, asked, `${number(value)} ${unit}`.trim(), met ? `met ${by}` : `MISSED ${by}`];
}

/** Who is not there, and why. */
export function skippedText(skipped: readonly Skipped[]): string {
  return align(
    skipped.map(({ system, reason }) => [system, reason]),
    "  ",
  );
}

export function costText(cost: readonly CostLine[]): string {
  return align(cost.map(costCells), "  ");
}

export function costCells({ what, dollars, parts }: CostLine): Cells {
  const made = Object.entries(parts).map(([name, part]) => `${name} $${part.toFixed(4)}`);
  return [what, `$${dollars.toFixed(3)}`, made.join(", ")];
}

export function align(lines: readonly Cells[], indent = ""): string {
  const widths: number[] = [];
  for (const cells of lines) {
    for (const [column, cell] of cells.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return lines
    .map((cells) =>
      (indent + cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")).trimEnd(),
    )
    .join("\n");
}

export function markdownTable(head: Cells, lines: readonly Cells[]): string {
  const row = (cells: Cells): string => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, column) => (column === 0 ? "---" : "---:"));
  return [row(head), row(rule), ...lines.map(row)].join("\n");
}

/** The figures of rows as Markdown: a table for each group. */
export function rowsMarkdown(rows: readonly Row[]): string {
  return groups(rows)
    .map((group) => {
      const { head, lines } = groupCells(group, rows);
      return `**${group[0]?.name ?? ""}**\n\n${markdownTable(head, lines)}`;
    })
    .join("\n\n");
}
