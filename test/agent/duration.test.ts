import { expect, test } from "vitest";
import { durationMs, showBytes, showMs } from "../../agent/config/duration.ts";

test("a time is a whole number with a unit, and a bare number means seconds", () => {
  const given = ["500ms", "30s", "30", "10m", "12h", "90d", "0"];
  expect(given.map(durationMs)).toEqual([
    500, 30_000, 30_000, 600_000, 43_200_000, 7_776_000_000, 0,
  ]);
});

test("what is no time is none", () => {
  for (const text of ["", "s", "-1s", "1.5h", "1 h", "1w", "1e3", "9999999999s"]) {
    expect(durationMs(text), text).toBeUndefined();
  }
});

test("times and sizes are shown in the unit that a person would use", () => {
  expect([0, 14.4, 999, 1000, 59_949, 300_000].map(showMs)).toEqual([
    "0 ms",
    "14 ms",
    "999 ms",
    "1.0 s",
    "59.9 s",
    "5 min",
  ]);
  expect([0, 999, 1000, 8100, 999_949, 999_999, 1_073_741_824].map(showBytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "8.1 kB",
    "999.9 kB",
    "1.0 MB",
    "1.1 GB",
  ]);
});
