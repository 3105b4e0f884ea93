/** The figures in both READMEs are those of the committed result: `bench/readme.ts` writes them, nobody types them. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { filled } from "../../bench/readme.ts";
import type { Result } from "../../bench/result.ts";
import { subjects } from "../../bench/row.ts";
import { figure, resultOf, row } from "./rows.ts";

const root = new URL("../../", import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, root), "utf8");

const published = JSON.parse(read("bench/results/full.json")) as Result;

const markers = (text: string): string[] =>
  Array.from(text.matchAll(/^<!-- bench:(\w+) -->$/gm), ([, name]) => name ?? "");

describe("what is published", () => {
  test.each(["README.md", "bench/README.md", "docs/limits-and-cost.md"])(
    "%s says what the committed result says",
    (file) => {
      const text = read(file);
      // What `node bench/readme.ts` would write.
      expect(filled(text, published)).toBe(text);
    },
  );

  test("is a run of everything", () => {
    expect(published.quick).toBe(false);
    expect(published.commit).toMatch(/^[0-9a-f]{7,}$/);
    expect(published.verdicts.filter(({ met }) => met === undefined)).toEqual([]);
  });

  test("names the machine, the figures and the misses in README.md, and every row in bench/README.md", () => {
    expect(markers(read("README.md"))).toEqual(["machine", "summary", "score"]);
    const above = ["machine", "targets", "misses", "cost", "skipped"];
    expect(markers(read("bench/README.md"))).toEqual([...above, ...subjects]);
  });

  test.each(["README.md", "bench/README.md"])("%s shows pictures that are there", (file) => {
    const pictures = Array.from(read(file).matchAll(/!\[(.+?)\]\((.+?\.svg)\)/g));
    expect(pictures.length).toBeGreaterThanOrEqual(3);
    for (const [, words = "", path = ""] of pictures) {
      expect(words.length).toBeGreaterThan(20);
      const svg = readFileSync(new URL(path, new URL(file, root)), "utf8");
      expect(svg).toMatch(/^<svg [^]*<\/svg>\n$/);
      expect(svg).not.toContain("NaN");
    }
  });
});

describe("filling in", () => {
  const result = resultOf([row("mux", "a frame", "sluice", { ns: figure([1234]) })]);
  const marked = (name: string, inside = ""): string =>
    `before\n<!-- bench:${name} -->\n${inside}<!-- /bench:${name} -->\nafter\n`;

  test("replaces what was between the markers and nothing else", () => {
    const text = filled(marked("mux", "a figure that somebody typed\n"), result);
    expect(text).toMatch(/^before\n<!-- bench:mux -->\n[^]*\n<!-- \/bench:mux -->\nafter\n$/);
    expect(text).toContain("1,230");
    expect(text).not.toContain("typed");
  });

  test("is the same when it is done again", () => {
    const once = filled(marked("mux") + marked("machine"), result);
    expect(filled(once, result)).toBe(once);
  });

  test("refuses a marker that stands for nothing, and one that does not end", () => {
    expect(() => filled(marked("speed"), result)).toThrow("there is no figure called speed");
    expect(() => filled("<!-- bench:mux -->\n", result)).toThrow("the marker mux does not end");
  });
});
