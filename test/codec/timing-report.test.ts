import { expect, test } from "vitest";
import { readTimingReport, writeTimingReport } from "../../codec/timing-report.ts";

test("what is written is read", () => {
  const text = writeTimingReport({ slotMs: 0.12345, originMs: 41.7 });
  expect(text).toBe("slot;dur=0.123, origin;dur=41.7");
  expect(readTimingReport(text)).toEqual({ slotMs: 0.123, originMs: 41.7 });
});

test("a day at the origin is a report too", () => {
  const report = { slotMs: 0, originMs: 86_400_000 };
  expect(readTimingReport(writeTimingReport(report))).toEqual(report);
});

test.each([
  undefined,
  "",
  "1",
  "slot;dur=x, origin;dur=1",
  "slot;dur=1, origin;dur=-1",
  "slot;dur=1e3, origin;dur=1",
  "slot;dur=1, origin;dur=1, db;dur=1",
  'a, b;desc="x"',
])("%j is none", (text) => {
  expect(readTimingReport(text)).toBeUndefined();
});
