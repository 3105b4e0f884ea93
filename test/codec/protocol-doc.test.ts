/** The specification's tables and the code say the same, in the same order. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { errors } from "../../codec/errors.ts";
import { halfTransitions } from "../../codec/half.ts";
import * as limits from "../../codec/limits.ts";
import { frameKinds } from "../../codec/wire.ts";
import { framesOf } from "../support/pair.ts";

const page = readFileSync(new URL("../../codec/PROTOCOL.md", import.meta.url), "utf8");
const limitsSource = readFileSync(new URL("../../codec/limits.ts", import.meta.url), "utf8");

/** The one table under the heading `title`, a row an object by its column's title; anything odd about it is thrown. */
function table(title: string, columns: readonly string[]): Record<string, string>[] {
  const sections = page.split(/^#{2,3} /m).filter((section) => section.startsWith(`${title}\n`));
  if (sections.length !== 1) throw new Error(`${sections.length} sections are called ${title}`);
  const lines = (sections[0] ?? "").split("\n");
  const first = lines.findIndex((line) => line.startsWith("|"));
  const rows: string[][] = [];
  for (const line of lines.slice(first)) {
    if (!line.startsWith("|")) break;
    if (!line.endsWith("|")) throw new Error(`a row without an end: ${line}`);
    rows.push(
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    );
  }
  const after = lines.slice(first + rows.length);
  if (after.some((line) => line.startsWith("|"))) throw new Error(`two tables under ${title}`);
  const [head, rule, ...body] = rows;
  expect(head).toEqual(columns);
  expect(rule).toEqual(columns.map(() => "---"));
  return body.map((cells) => {
    if (cells.length !== columns.length)
      throw new Error(`${cells.length} cells: ${cells.join(" | ")}`);
    return Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? ""]));
  });
}

/** What a cell has between backquotes. */
function quoted(cell: string | undefined): string {
  const found = /^`([^`]+)`$/.exec(cell ?? "")?.[1];
  if (found === undefined) throw new Error(`not in backquotes: ${cell}`);
  return found;
}

describe("PROTOCOL.md", () => {
  const frames = table("Frames", ["frame", "kind", "fields after the kind", "sent by", "meaning"]);

  test("lists the frames, with their numbers", () => {
    expect(frames.map((row) => [quoted(row["frame"]), Number(row["kind"])])).toEqual(
      Object.entries(frameKinds),
    );
  });

  test("lists the fields of each, as the code reads them", () => {
    // A frame of plausible fields by the page must be one that the code accepts, and no other count of them.
    const samples: Record<string, string> = {
      str: "a1 78",
      uint: "09",
      stream: "05",
      length: "c0",
      "method str": "a3 474554",
      "path str": "a1 2f",
      "status uint": "cc c8",
      headers: "92 a161 a162",
      trailers: "90",
      "bytes bin": "c4 01 61",
    };
    for (const row of frames) {
      const fields = (row["fields after the kind"] ?? "").split(", ").map((field) => {
        const sample = samples[field] ?? samples[field.split(" ").at(-1) ?? ""];
        if (sample === undefined)
          throw new Error(`${row["frame"]} has a field of unknown type: ${field}`);
        return sample;
      });
      const hex = `${(0x91 + fields.length).toString(16)} ${Number(row["kind"]).toString(16).padStart(2, "0")} ${fields.join("")}`;
      const message = Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
      expect(framesOf(message), hex).toMatchObject([{ kind: quoted(row["frame"]) }]);
    }
  });

  test("says what each half does with each input", () => {
    const inputs = ["head", "data", "end", "cancel"] as const;
    const rows = table("Halves", ["state", ...inputs]).map((row) => [
      row["state"],
      Object.fromEntries(
        inputs.map((input) => [input, row[input] === "" ? undefined : row[input]]),
      ),
    ]);
    expect(rows).toEqual(Object.entries(halfTransitions));
  });

  test("lists the errors, with all that the code knows of them", () => {
    const columns = ["code", "wire", "ends", "HTTP status", "retryable", "says"];
    const rows = table("Errors", columns).map((row) => {
      if (row["retryable"] !== "yes" && row["retryable"] !== "no")
        throw new Error("retryable is yes or no");
      return [
        quoted(row["code"]),
        {
          wire: Number(row["wire"]),
          ends: row["ends"],
          status: Number(row["HTTP status"]),
          retryable: row["retryable"] === "yes",
          // Markdown would take it for a tag.
          says: row["says"]?.replaceAll("&lt;", "<"),
        },
      ];
    });
    expect(rows).toEqual(Object.entries(errors));
  });

  test("lists the limits, with their values and the reasons that the code gives", () => {
    const values = new Map<string, unknown>(Object.entries(limits));
    const found = limitsSource.matchAll(
      /^\/\*\* ((?:(?!\*\/).)*) \*\/\nexport const ([A-Z_]+) =/gm,
    );
    const inCode = Array.from(found, ([, reason, name]) => [
      name,
      String(values.get(name ?? "")),
      reason,
    ]);
    expect(new Set(inCode.map(([name]) => name))).toEqual(new Set(values.keys()));
    const rows = table("Limits", ["limit", "value", "reason"]);
    expect(rows.map((row) => [quoted(row["limit"]), row["value"], row["reason"]])).toEqual(inCode);
  });
});
