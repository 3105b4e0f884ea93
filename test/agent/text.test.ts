/** Widths, cuts and wraps of what a terminal shows. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LineSink } from "../../agent/terminal/line-sink.ts";
import {
  coloured,
  cut,
  cutLine,
  fill,
  type Line,
  paintLine,
  shown,
  textOf,
  widthOf,
  wrapLine,
} from "../../agent/terminal/text.ts";

test.each([
  ["plain", 5],
  ["naïve", 5],
  ["日本", 4],
  ["e\u0301", 1],
  ["🚰", 2],
  ["➜ …", 3],
  ["\u001b[31mred\u001b[39m", 3],
])("%j is %i columns wide", (text, width) => {
  expect(widthOf(text)).toBe(width);
});

test("what is cut ends with …, and is never wider than it may be", () => {
  expect(cut("/products", 20)).toBe("/products");
  expect(cut("/products", 5)).toBe("/pro…");
  expect(cut("日本語", 4)).toBe("日…");
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", maxLength: 40 }),
      fc.integer({ min: 1, max: 30 }),
      (text, columns) => {
        expect(widthOf(cut(shown(text), columns))).toBeLessThanOrEqual(columns);
        expect(widthOf(fill(shown(text), columns))).toBe(columns);
      },
    ),
  );
});

const line = fc.array(
  fc.tuple(fc.stringMatching(/^[a-z :;]{0,20}$/), fc.constantFrom("red" as const, "dim" as const)),
  { minLength: 1, maxLength: 5 },
);

test("wrapping loses no word, and no row is wider than the terminal unless it is one word", () => {
  fc.assert(
    fc.property(line, fc.integer({ min: 8, max: 60 }), (spans, columns) => {
      const rows = wrapLine(spans, columns, 2);
      const words = (text: string): string[] => text.split(/ +/).filter((word) => word !== "");
      expect(rows.flatMap((row) => words(textOf(row))).join("")).toBe(
        words(textOf(spans)).join(""),
      );
      for (const row of rows) {
        const text = textOf(row).trimEnd();
        if (words(text).length > 1) expect(widthOf(text)).toBeLessThanOrEqual(columns);
      }
    }),
  );
});

test("a wrapped sentence is broken between its words, and goes on indented", () => {
  const sentence: Line = [
    ["warning:", "yellow"],
    [" nothing answers at http://localhost:4000/a/long/path. Start it."],
  ];
  expect(wrapLine(sentence, 30, 2).map(textOf)).toEqual([
    "warning: nothing answers at ",
    "  http://localhost:4000/a/long/path. ",
    "  Start it.",
  ]);
  expect(wrapLine(sentence, 200, 2)).toEqual([sentence]);
  expect(wrapLine(sentence, Number.POSITIVE_INFINITY, 2)).toEqual([sentence]);
});

test("a line is cut before it is painted: no colour is cut in half", () => {
  const cutTo = paintLine(
    cutLine(
      [
        ["abc", "red"],
        ["defgh", "green"],
      ],
      5,
    ),
    coloured,
  );
  expect(cutTo).toBe("\u001b[31mabc\u001b[39m\u001b[32md…\u001b[39m");
});

test("another program's output comes by whole lines, the rest of one soon after, an overwritten line as it ended", async () => {
  const lines: string[] = [];
  const rest = Promise.withResolvers<void>();
  const sink = new LineSink((more) => {
    lines.push(...more);
    if (lines.includes("no end")) rest.resolve();
  });
  sink.write("one\ntw");
  sink.write("o\r\n10%\r50%\rdone\nno end");
  expect(lines).toEqual(["one", "two", "done"]);
  await rest.promise;
  expect(lines.at(-1)).toBe("no end");
});
