/** The generated pages are what `npm run docs` would write, and say something of everything. */
import { describe, expect, test } from "vitest";
import { agentCodes } from "../../agent/codes.ts";
import { errors } from "../../codec/errors.ts";
import { eventFields } from "../../docs/generate/commands.ts";
import { withPart } from "../../docs/generate/generated.ts";
import { numberIn } from "../../docs/generate/limits.ts";
import { pages } from "../../docs/generate/pages.ts";
import { anchorsOf, read } from "./markdown.ts";

test.each(Array.from(pages(read)))("%s is what `npm run docs` writes", (path, text) => {
  expect(read(path), "npm run docs").toBe(text);
});

describe("docs/errors.md", () => {
  const page = read("docs/errors.md");
  const codes = [...Object.keys(errors), ...Object.keys(agentCodes), "http-status"];
  const entries = new Map(
    page.split(/^### /m).map((entry) => [entry.slice(0, entry.indexOf("\n")), entry]),
  );

  test.each(codes)(
    "has an entry for %s, which its anchor leads to, that says what to do",
    (code) => {
      expect(anchorsOf(page)).toContain(code);
      const [, next = ""] =
        /^- \*\*What to do next\*\*: (.+)$/m.exec(entries.get(code) ?? "") ?? [];
      expect(next).toMatch(/^[A-Z].{15,}\.$/);
      expect(entries.get(code)).toMatch(/^- \*\*The agent shows\*\*: .+$/m);
    },
  );

  test("has no other entries, and each code once in a table", () => {
    expect([...entries.keys()].slice(1)).toEqual(codes);
    for (const code of codes) expect(page.split(`](#${code}) |`)).toHaveLength(2);
  });

  test("gives no code two meanings", () => {
    expect(new Set(codes).size).toBe(codes.length);
  });
});

describe("docs/commands.md", () => {
  test("lists the events that there are, with their fields", () => {
    const [source = ""] = read("agent/events.ts").split("export type TunnelEvent");
    const found = source.matchAll(/(OfShard & \{\s*)?readonly event: "(\w+)";?([^}]*)\}/g);
    const inCode = Array.from(found, ([, ofShard, name = "", rest = ""]) => {
      const fields = Array.from(rest.matchAll(/readonly (\w+\??):/g), ([, field]) => field);
      return [name, [...fields, ...(ofShard === undefined ? [] : ["shard?"])]] as const;
    });
    const onPage = Array.from(eventFields, ([name, fields]) => [name, fields.split(", ")] as const);
    const sorted = (
      list: readonly (readonly [string, readonly (string | undefined)[]])[],
    ): unknown =>
      Object.fromEntries(list.map(([name, fields]) => [name, new Set(fields.filter(Boolean))]));
    expect(sorted(onPage)).toEqual(sorted(inCode));
  });
});

describe("what is generated", () => {
  test("has a place in a page, or fails", () => {
    const page = "before\n<!-- it -->\nold\n<!-- /it -->\nafter\n";
    const filled = withPart(page, "it", "new");
    expect(filled).toBe("before\n<!-- it -->\n\nnew\n\n<!-- /it -->\nafter\n");
    expect(withPart(filled, "it", "new")).toBe(filled);
    expect(() => withPart(page, "else", "new")).toThrow("no place called else");
  });

  test("has numbers that are found, or fails", () => {
    expect(numberIn("edge/correlator.ts", "MAX_AGENTS")).toBe(64);
    expect(numberIn("edge/correlator.ts", "mostBytes")).toBe(8 * 1024 * 1024);
    expect(() => numberIn("edge/correlator.ts", "MAX_NONSENSE")).toThrow("has no number");
  });
});
