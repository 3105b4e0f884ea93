/** Dollars from measured figures, worked out by hand. */
import { describe, expect, test } from "vitest";
import { costOfRows } from "../../bench/cost.ts";
import type { Row } from "../../bench/row.ts";
import { row } from "./rows.ts";

const MiB = 1024 ** 2;

/** Figures that make the sums easy: 1 TB is 953,674.3 MiB, and 1.6 GB-s cost 20 millionths of a dollar. */
const rows: readonly Row[] = [
  row("tunnel", "small, c=64", "sluice", { perSecond: 1000, edgeUsPerRequest: 500 }),
  row("tunnel", "small, c=1", "sluice", { p50Ms: 2 }),
  row("tunnel", "download, 1", "sluice", { mbPerS: 100 }),
  row("tunnel", "upload, 1", "sluice", { mbPerS: 50 }),
  row("messages", "small, c=64", "sluice", { perRequest: 0.2 }),
  row("messages", "small, c=1", "sluice", { perRequest: 1 }),
  row("messages", "download, 1", "sluice", { perMiB: 4 }),
  row("messages", "upload, 1", "sluice", { perMiB: 1 }),
];

const lines = new Map(costOfRows(rows).map((line) => [line.what, line]));
const partsOf = (what: string): Readonly<Record<string, number>> => lines.get(what)?.parts ?? {};

describe("a million small requests", () => {
  test("64 at a time: 500 CPU seconds, 200,000 messages and 1,000 seconds of an active object", () => {
    const parts = partsOf("1 M small requests, 64 at a time");
    expect(parts["Worker requests"]).toBe(0.3);
    expect(parts["object requests"]).toBe(0.15);
    // 500,000 ms of CPU at $0.02 a million.
    expect(parts["Worker CPU"]).toBeCloseTo(0.01, 9);
    // 200,000 messages are 10,000 requests at $0.15 a million.
    expect(parts["messages"]).toBeCloseTo(0.0015, 9);
    // 1,000 s of 128 MB are 128 GB-s at $12.50 a million.
    expect(parts["duration"]).toBeCloseTo(0.0016, 9);
    expect(lines.get("1 M small requests, 64 at a time")?.dollars).toBeCloseTo(0.4631, 9);
  });

  test("one at a time: a message each, and the object active for the sum of their times", () => {
    const parts = partsOf("1 M small requests, one at a time");
    expect(parts["messages"]).toBeCloseTo(0.0075, 9);
    // 1 M × 2 ms are 2,000 s, 256 GB-s.
    expect(parts["duration"]).toBeCloseTo(0.0032, 9);
  });
});

describe("a terabyte", () => {
  const mebibytes = 1e12 / MiB;

  test("down at the measured 100 MB/s: 4 messages a MiB, 10,000 s", () => {
    const parts = partsOf("1 TB down, at the speed measured");
    expect(parts["messages"]).toBeCloseTo(((mebibytes * 4) / 20 / 1e6) * 0.15, 9);
    expect(parts["messages"]).toBeCloseTo(0.028_610, 5);
    expect(parts["duration"]).toBeCloseTo(0.016, 9);
  });

  test("to one slow visitor costs the same messages and ten times the time", () => {
    const fast = partsOf("1 TB down, at the speed measured");
    const slow = partsOf("1 TB down, to one visitor at 10 MB/s");
    expect(slow["messages"]).toBe(fast["messages"]);
    expect(slow["duration"]).toBeCloseTo(0.16, 9);
  });

  test("up at the measured 50 MB/s: a message a MiB, 20,000 s", () => {
    const parts = partsOf("1 TB up, at the speed measured");
    expect(parts["messages"]).toBeCloseTo(0.007_153, 5);
    expect(parts["duration"]).toBeCloseTo(0.032, 9);
  });
});

test("what was not measured has no price", () => {
  expect(costOfRows([])).toEqual([]);
  const withoutMessages = rows.filter(({ subject }) => subject !== "messages");
  expect(costOfRows(withoutMessages)).toEqual([]);
  const downOnly = costOfRows(rows.filter(({ name }) => name === "download, 1"));
  expect(downOnly.map(({ what }) => what)).toEqual([
    "1 TB down, at the speed measured",
    "1 TB down, to one visitor at 10 MB/s",
  ]);
});
