/** The memory that one session promises: who gets how much of it, and who cannot take it all. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Budget } from "../../codec/budget.ts";
import {
  BUDGET_BYTES,
  BUSY_WINDOW_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_STREAMS,
  MAX_WINDOW_BYTES,
  MIN_WINDOW_BYTES,
  PROVEN_READER_BYTES,
  REQUEST_CREDIT_BYTES,
} from "../../codec/limits.ts";
import { PathSimulation } from "../support/path.ts";

const MiB = 1024 * 1024;

/** A budget of which `usedBytes` are used. */
function used(usedBytes: number): Budget {
  const budget = new Budget();
  expect(budget.reserve(usedBytes)).toBe(true);
  return budget;
}

describe("a new body's window", () => {
  const quarter = BUDGET_BYTES / 4;
  test.each([
    ["at first", 0, INITIAL_WINDOW_BYTES],
    ["when a quarter is used", quarter, INITIAL_WINDOW_BYTES],
    ["when a byte more is used", quarter + 1, BUSY_WINDOW_BYTES],
    ["when three quarters are used", 3 * quarter, BUSY_WINDOW_BYTES],
    ["when a byte more is used than that", 3 * quarter + 1, MIN_WINDOW_BYTES],
    ["when the smallest just fits", BUDGET_BYTES - MIN_WINDOW_BYTES, MIN_WINDOW_BYTES],
    ["when not even the smallest fits", BUDGET_BYTES - MIN_WINDOW_BYTES + 1, 0],
  ])("%s", (_, usedBytes, windowBytes) => {
    const budget = used(usedBytes);
    expect(budget.admit()).toBe(windowBytes);
    expect(budget.usedBytes).toBe(usedBytes + windowBytes);
  });

  test("is there for as many streams as a session may have, all of them stalled", () => {
    const budget = new Budget();
    for (let i = 0; i < MAX_STREAMS; i++) expect(budget.admit(), `stream ${i}`).toBeGreaterThan(0);
  });

  test("is there for as many request bodies as a session may have", () => {
    const budget = new Budget();
    for (let i = 0; i < MAX_STREAMS; i++) expect(budget.reserve(REQUEST_CREDIT_BYTES)).toBe(true);
    expect([budget.freeBytes, budget.reserve(1)]).toEqual([0, false]);
  });
});

describe("growth", () => {
  test("is what was asked for while memory is plenty", () => {
    expect(new Budget().grow(INITIAL_WINDOW_BYTES, 2 * MiB, 0)).toBe(
      2 * MiB - INITIAL_WINDOW_BYTES,
    );
  });

  test("stops at the largest window", () => {
    const budget = new Budget(256 * MiB);
    expect(budget.grow(MiB, 100 * MiB, 0)).toBe(MAX_WINDOW_BYTES - MiB);
    expect(budget.grow(MAX_WINDOW_BYTES, 100 * MiB, 0)).toBe(0);
  });

  test("leaves three quarters free for readers that are not proven, a sixteenth for those that are", () => {
    const budget = used(BUDGET_BYTES / 4);
    expect(budget.grow(MiB, 2 * MiB, PROVEN_READER_BYTES - 1)).toBe(0);
    expect(budget.grow(MiB, 2 * MiB, PROVEN_READER_BYTES)).toBe(MiB);
    const full = used((BUDGET_BYTES / 16) * 15);
    expect(full.grow(MiB, 2 * MiB, PROVEN_READER_BYTES)).toBe(0);
  });

  test("never takes more than half of what is free", () => {
    const budget = used(BUDGET_BYTES / 2);
    expect(budget.grow(0, MAX_WINDOW_BYTES, PROVEN_READER_BYTES)).toBe(BUDGET_BYTES / 4);
  });

  test("is never negative, and never makes the budget overflow", () => {
    const step = fc.record({
      windowBytes: fc.nat({ max: MAX_WINDOW_BYTES }),
      targetBytes: fc.nat({ max: 2 * MAX_WINDOW_BYTES }),
      takenBytes: fc.constantFrom(0, PROVEN_READER_BYTES),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const budget = new Budget();
        for (const { windowBytes, targetBytes, takenBytes } of steps) {
          expect(budget.grow(windowBytes, targetBytes, takenBytes)).toBeGreaterThanOrEqual(0);
          expect(budget.usedBytes).toBeLessThanOrEqual(budget.totalBytes);
        }
      }),
    );
  });
});

test("a budget gives back what was reserved, and notices when more is given back", () => {
  const budget = new Budget(1000);
  expect([budget.reserve(1001), budget.reserve(1000), budget.reserve(1)]).toEqual([
    false,
    true,
    false,
  ]);
  budget.release(1000);
  expect(budget.usedBytes).toBe(0);
  expect(() => budget.release(1)).toThrow("nothing is released that was not reserved");
});

test("memory is scarce when less than a quarter is free", () => {
  expect(used((BUDGET_BYTES / 4) * 3).scarce).toBe(false);
  expect(used((BUDGET_BYTES / 4) * 3 + 1).scarce).toBe(true);
});

describe("five hundred readers that stall", () => {
  /** They took 5 MB each, as a socket's buffers do, and then nothing any more. */
  function stalledReaders(budget: Budget): PathSimulation[] {
    const readers = Array.from(
      { length: 500 },
      () => new PathSimulation({ budget, bytesPerMs: 5000, rttMs: 30 }),
    );
    for (let open = readers; open.length > 0; open = open.filter((one) => one.readBytesPerMs > 0)) {
      for (const reader of open) {
        reader.step();
        if (reader.takenBytes >= 5_000_000) reader.readBytesPerMs = 0;
      }
    }
    for (const reader of readers) reader.run(200);
    return readers;
  }

  test("hold what they were given, leave a quarter of the budget, and do not slow a reader that is fast", () => {
    const budget = new Budget();
    const stalled = stalledReaders(budget);
    for (const { credit } of stalled) expect(credit.bufferedBytes).toBe(credit.windowBytes);
    expect(budget.freeBytes).toBeGreaterThan(BUDGET_BYTES / 4);

    // 20 MB/s at 30 ms have 600 KB under way.
    const fast = new PathSimulation({ budget, bytesPerMs: 20_000, rttMs: 30 });
    // Until it has proven itself, its window is small: one window a round trip.
    const proofMs = (PROVEN_READER_BYTES / fast.credit.windowBytes) * 30;
    for (let ms = 0; fast.takenBytes < PROVEN_READER_BYTES; ms++) {
      fast.step();
      expect(ms, "it proves itself in time").toBeLessThan(1.5 * proofMs);
    }
    fast.run(300);
    const before = fast.takenBytes;
    fast.run(1000);
    expect((fast.takenBytes - before) / 1000 / 20_000).toBeGreaterThan(0.95);
    expect(budget.freeBytes, "newcomers find room").toBeGreaterThan(BUDGET_BYTES / 16);
    expect(budget.admit()).toBeGreaterThan(0);
  });
});
