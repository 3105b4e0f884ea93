import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Row } from "../../../agent/inspector/api.ts";
import { loadPage } from "../../../agent/inspector/page.ts";
import { parseFilter } from "../../../agent/inspector/ui/filter.ts";
import { showBytes, showHex, showMs } from "../../../agent/inspector/ui/format.ts";
import { prettyJson } from "../../../agent/inspector/ui/json.ts";
import {
  clear,
  type Known,
  trim,
  trimOthers,
  withList,
} from "../../../agent/inspector/ui/known.ts";

const row: Row = {
  id: 7,
  service: "shop",
  at: 0,
  method: "POST",
  path: "/Orders?page=2",
  status: 404,
  phase: "over",
  kind: "events",
  type: "text/event-stream",
  ms: 1,
  bytesIn: 0,
  bytesOut: 0,
  stalled: false,
  outcome: "ok",
  says: "",
  replayOf: 3,
};

describe("the filter", () => {
  test.each([
    ["", true],
    ["orders", true],
    ["orders page=3", false],
    ["-orders", false],
    ["status:404", true],
    ["status:4xx", true],
    ["status:>=400 status:<500", true],
    ["status:>404", false],
    ["-status:404", false],
    ["method:post", true],
    ["method:get", false],
    ["is:stream is:error is:replay", true],
    ["is:open", false],
    ["is:nonsense", false],
    ["type:event", true],
    ["service:sho id:7", true],
    ["status:nonsense", false],
    [" - ", true],
  ])("%s", (text, shown) => {
    expect(parseFilter(text)(row)).toBe(shown);
  });

  test("takes whatever is typed", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseFilter(text)(row)));
  });
});

describe("what the page knows", () => {
  const known = (...rows: readonly (readonly [id: number, phase: Row["phase"]])[]): Known =>
    new Map(rows.map(([id, phase]) => [id, { row: { ...row, id, phase }, heardMs: 0 }]));
  const phases = (all: Known): [number, string][] =>
    [...all.values()].map(({ row: { id, phase } }) => [id, phase]);

  test("what was reported while a list was on its way is not undone by the list", () => {
    const before = known([1, "answering"], [2, "answering"], [3, "over"]);
    before.set(2, { row: { ...row, id: 2, phase: "over" }, heardMs: 150 });
    before.set(4, { row: { ...row, id: 4, phase: "asked" }, heardMs: 160 });
    const list = [2, 1].map((id): Row => ({ ...row, id, phase: "answering" }));
    const after = withList(before, list, { askedMs: 100, heardMs: 200, held: [] });
    expect(phases(after).sort(([a], [b]) => a - b)).toEqual([
      [1, "answering"],
      [2, "over"],
      [4, "asked"],
    ]);
  });

  test("what a paused list shows stays, however much comes meanwhile", () => {
    const all = known([1, "over"], [2, "answering"], [3, "over"], [4, "over"], [5, "over"]);
    const list = [5, 4].map((id): Row => ({ ...row, id, phase: "over" }));
    const held = [2, 1];
    const after = withList(all, list, { askedMs: 100, heardMs: 200, held });
    expect([...after.keys()].sort((a, b) => a - b)).toEqual([1, 4, 5]);
    trimOthers(all, 2, held);
    expect([...all.keys()]).toEqual([1, 2, 4, 5]);
  });

  test("clearing leaves what is open", () => {
    const all = known([1, "answering"], [2, "over"], [3, "waiting"]);
    clear(all);
    expect([...all.keys()]).toEqual([1, 3]);
  });

  test("a stream that is open stays, however many come after it; of too many that are open the oldest goes", () => {
    const all = known([1, "answering"], [2, "over"], [3, "over"], [4, "asked"]);
    expect(trim(all, 4)).toEqual([4, 3, 2, 1]);
    expect(trim(all, 3)).toEqual([4, 3, 1]);
    expect(trim(all, 2)).toEqual([4, 1]);
    expect(trim(all, 1)).toEqual([4]);
    expect([...all.keys()]).toEqual([4]);
  });
});

describe("JSON", () => {
  const shown = (text: string): string =>
    prettyJson(text)
      .lines.map(
        ({ indent, tokens }) => "  ".repeat(indent) + tokens.map((each) => each.text).join(""),
      )
      .join("\n");

  test("is laid out as JSON.stringify does it", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(2), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(shown(text)).toBe(JSON.stringify(value, undefined, 2));
        expect(prettyJson(text).fault).toBeUndefined();
      }),
    );
  });

  test("keeps numbers as they were sent", () => {
    expect(shown("[12345678901234567890, 1.0, 1e400]")).toContain(
      "12345678901234567890,\n  1.0,\n  1e400",
    );
  });

  test.each([
    ['{"a": 1,\n "b": [1, 2,, 3]}', 2, 13, false],
    ["{'a': 1}", 1, 2, false],
    ["[1 2]", 1, 4, false],
    ['{"a" 1}', 1, 6, false],
    ["[1] x", 1, 5, false],
    ["nope", 1, 1, false],
    ['{"a": [1, {"b": "c', 1, 17, true],
    ['{"a": [1,', 1, 10, true],
    ["", 1, 1, true],
    ["[tru", 1, 2, true],
  ])("that is wrong says where: %s", (text, line, column, ends) => {
    expect(prettyJson(text).fault).toMatchObject({ line, column, ends });
  });

  test("cut anywhere is no fault of its sender's", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue({ maxDepth: 3 })), fc.nat(), (value, cut) => {
        const text = JSON.stringify(value);
        const { fault } = prettyJson(text.slice(0, cut % text.length));
        expect(fault?.ends).toBe(true);
      }),
    );
  });

  test("never breaks the page, whatever it is", () => {
    fc.assert(fc.property(fc.string(), (text) => void prettyJson(text)));
    expect(prettyJson("[".repeat(5000)).fault?.says).toContain("too deeply");
  });
});

test("numbers are short", () => {
  expect([0, 999, 1000, 9949, 12_345, 3.2e9].map(showBytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "9.9 kB",
    "12 kB",
    "3.2 GB",
  ]);
  expect([0.123, 4.56, 78.9, 1234, 45_678, 125_000, 7_500_000].map(showMs)).toEqual([
    "0.12 ms",
    "4.6 ms",
    "79 ms",
    "1.2 s",
    "46 s",
    "2 min 5 s",
    "2 h 5 min",
  ]);
  expect(showHex(Buffer.from("a cup of tea\n\xff and"), 9).split("\n")).toHaveLength(2);
});

test("the page is small, and loads nothing from elsewhere", async () => {
  const page = await loadPage();
  let bytes = 0;
  for (const file of page.values()) {
    bytes += gzipSync(file.bytes).length;
    expect(file.bytes.toString()).not.toMatch(/(?:src|href|url\()\s*=?\s*["'(]?(?:https?:)?\/\//);
  }
  expect(bytes).toBeLessThan(32 * 1024);
  const html = page.get("/")?.bytes.toString() ?? "";
  expect(html).not.toMatch(/<style|style=|<script>| on\w+=/);
});
