/** The memory that one session promises: who gets how much of it, and who cannot take it all. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Budget, type Reader } from "../../codec/budget.ts";
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
    expect(new Budget().grow(INITIAL_WINDOW_BYTES, 2 * MiB, "new")).toBe(
      2 * MiB - INITIAL_WINDOW_BYTES,
    );
  });

  test("stops at the largest window", () => {
    const budget = new Budget(256 * MiB);
    expect(budget.grow(MiB, 100 * MiB, "proven")).toBe(MAX_WINDOW_BYTES - MiB);
    expect(budget.grow(MAX_WINDOW_BYTES, 100 * MiB, "proven")).toBe(0);
  });

  test.each([
    ["three quarters", "new", 12],
    ["a half", "steady", 8],
    ["a sixteenth", "proven", 1],
  ] as const)("leaves %s free when the reader is %s", (_, reader, sixteenths) => {
    const usedBytes = (BUDGET_BYTES / 16) * (16 - sixteenths);
    expect(used(usedBytes).grow(MiB, 2 * MiB, reader)).toBe(0);
    expect(used(usedBytes - 1000).grow(MiB, 2 * MiB, reader)).toBe(1000);
  });

  test("never takes more than half of what is free", () => {
    const budget = used(BUDGET_BYTES / 2);
    expect(budget.grow(0, MAX_WINDOW_BYTES, "proven")).toBe(BUDGET_BYTES / 4);
  });

  test("is never negative, and never makes the budget overflow", () => {
    const step = fc.record({
      windowBytes: fc.nat({ max: MAX_WINDOW_BYTES }),
      targetBytes: fc.nat({ max: 2 * MAX_WINDOW_BYTES }),
      reader: fc.constantFrom<Reader[]>("new", "steady", "proven"),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const budget = new Budget();
        for (const { windowBytes, targetBytes, reader } of steps) {
          expect(budget.grow(windowBytes, targetBytes, reader)).toBeGreaterThanOrEqual(0);
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
  const rttMs = 30;

  /** Lets `reader` take 5 MB, as the sockets' buffers on its way do, and then nothing any more. */
  function fillAndStall(reader: PathSimulation): void {
    while (reader.takenBytes < 5_000_000) reader.step();
    reader.readBytesPerMs = 0;
    reader.run(2 * rttMs);
    expect(reader.credit.bufferedBytes).toBeGreaterThan(0.6 * reader.credit.windowBytes);
  }

  /** A reader at 20 MB/s, which has 600 KB under way, gets all it can take two seconds after it has taken `afterBytes`. */
  function expectSpeed(budget: Budget, afterBytes: number): void {
    const fast = new PathSimulation({ budget, bytesPerMs: 20_000, rttMs });
    while (fast.takenBytes < afterBytes) fast.run(100);
    fast.run(2000);
    const before = fast.takenBytes;
    fast.run(1000);
    expect((fast.takenBytes - before) / 1000 / 20_000).toBeGreaterThan(0.95);
    expect(budget.admit(), "a newcomer's window").toBeGreaterThan(0);
  }

  // On a path with a round trip whoever fills its buffers passes for a steady reader for a second: only bytes are proof.
  test("one after the other, each as fast as the line, do not slow a reader that is proven", () => {
    const budget = new Budget();
    for (let i = 0; i < 500; i++) {
      fillAndStall(new PathSimulation({ budget, bytesPerMs: 100_000, rttMs }));
    }
    expect(budget.freeBytes).toBeGreaterThan(BUDGET_BYTES / 4);
    expectSpeed(budget, PROVEN_READER_BYTES);
  });

  test("all at once, sharing the line, do not slow a reader that is fast", () => {
    const budget = new Budget();
    const readers = Array.from(
      { length: 500 },
      () => new PathSimulation({ budget, bytesPerMs: 200, rttMs, chunkBytes: 4096 }),
    );
    for (let ms = 0; ms < 2000; ms++) for (const reader of readers) reader.step();
    for (const reader of readers) reader.readBytesPerMs = 0;
    for (const reader of readers) reader.run(1000);
    expect(budget.freeBytes).toBeGreaterThan(BUDGET_BYTES / 4);
    expectSpeed(budget, 0);
  });

  test("on a line so slow that filling buffers looks like reading still leave every newcomer a window", () => {
    const budget = new Budget();
    for (let i = 0; i < 400; i++) {
      fillAndStall(new PathSimulation({ budget, bytesPerMs: 20_000, rttMs }));
    }
    for (let i = 0; i < 100; i++) expect(budget.admit()).toBeGreaterThanOrEqual(MIN_WINDOW_BYTES);
    expect(budget.usedBytes).toBeLessThanOrEqual(BUDGET_BYTES);
  });
});
