/** What docs/troubleshooting.md says that one sees is what the program prints. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { codeOf, read, root } from "./markdown.ts";

/** All that is printed, from the source: what differs is "…" there as it is on the page. */
const printed = ["agent/", "edge/", "codec/", "node_modules/commander/lib/"]
  .flatMap((room) =>
    readdirSync(new URL(room, root), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.[jt]s$/.test(file))
      .map((file) => readFileSync(new URL(`${room}${file}`, root), "utf8")),
  )
  .join("\n")
  .replaceAll(/\$\{[^}]*\}/g, "…")
  .replaceAll("\\`", "`")
  // What commander says in small letters begins a sentence of ours.
  .toLowerCase();

/** What others say: Node's and the system's words, a development server's, curl's, a web server's field. */
const ofOthers = [
  "ENOTFOUND",
  "ECONNREFUSED",
  "Blocked request. This host",
  "is not allowed",
  "transfer closed",
];

/** The pieces of a symptom that have to be somewhere as they are. */
function piecesOf(symptom: string): string[] {
  return symptom
    .split(/…|[:;] |["'()]/)
    .map((piece) => piece.trim())
    .filter((piece) => piece.length > 2);
}

const rows = read("docs/troubleshooting.md")
  .split("\n")
  .filter((line) => /^\| (?!you see|---)/.test(line))
  .map((line) => line.split(/(?<!\\) \| /));

const symptoms = rows.flatMap(([first = ""]) => codeOf(first.replaceAll("\\`", "'")));

describe("a symptom", () => {
  test.each(symptoms)("%s is one that the program prints", (symptom) => {
    const pieces = piecesOf(symptom);
    expect(pieces.length).toBeGreaterThan(0);
    const strange = pieces.filter(
      (piece) => !printed.includes(piece.toLowerCase()) && !ofOthers.includes(piece),
    );
    expect(strange).toEqual([]);
  });

  test("that nobody prints is noticed", () => {
    expect(printed).not.toContain("the tunnel is on fire");
    expect(piecesOf('cannot: … "x y" (code)')).toEqual(["cannot", "x y", "code"]);
  });

  test("has a reason and something to do", () => {
    for (const row of rows) {
      expect(row).toHaveLength(3);
      for (const cell of row) expect(cell.replace(/ \|$/, "").length).toBeGreaterThan(5);
    }
    expect(symptoms.length).toBeGreaterThan(30);
  });
});
