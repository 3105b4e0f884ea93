/** Credit: what a sender may send, what a receiver has promised, and windows that follow the path and the reader. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Budget } from "../../codec/budget.ts";
import { ReceiveCredit, SendCredit } from "../../codec/credit.ts";
import {
  BUDGET_BYTES,
  BUSY_WINDOW_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_CREDIT_BYTES,
  MAX_WINDOW_BYTES,
} from "../../codec/limits.ts";
import { PathSimulation } from "../support/path.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** A body that begins to arrive now. */
function begin(budget = new Budget(), windowBytes = budget.admit()): ReceiveCredit {
  return new ReceiveCredit(budget, windowBytes, 0);
}

describe("a sender's credit", () => {
  test("is spent and added to, up to the protocol's bound", () => {
    const credit = new SendCredit(10);
    credit.spend(10);
    expect(credit.bytes).toBe(0);
    expect([credit.add(MAX_CREDIT_BYTES), credit.bytes]).toEqual([true, MAX_CREDIT_BYTES]);
    expect([credit.add(1), credit.bytes]).toEqual([false, MAX_CREDIT_BYTES]);
  });

  test("is never overdrawn: that would be a mistake of ours", () => {
    expect(() => new SendCredit(10).spend(11)).toThrow(
      "a sender never spends more than it was given",
    );
  });
});

describe("a receiver's credit", () => {
  test("takes exactly what was granted, and not a byte more", () => {
    const credit = begin();
    expect(credit.receive(INITIAL_WINDOW_BYTES)).toBe(true);
    expect(credit.receive(1)).toBe(false);
    expect(credit.bufferedBytes).toBe(INITIAL_WINDOW_BYTES);
  });

  test("is given back when an eighth of the window was consumed, all that is missing at once", () => {
    const credit = begin();
    credit.receive(40 * KiB);
    expect(credit.consume(8 * KiB - 1, 1, 100)).toBe(0);
    expect(credit.consume(1, 1, 100)).toBe(8 * KiB);
    expect(credit.grantedBytes).toBe(32 * KiB);
    expect(credit.consume(4 * KiB, 1, 100)).toBe(0);
  });

  test("is not given back on receipt", () => {
    const credit = begin();
    credit.receive(INITIAL_WINDOW_BYTES);
    expect(credit.grantedBytes).toBe(0);
  });

  test("refuses to consume what has not arrived: that would be a mistake of ours", () => {
    const credit = begin();
    credit.receive(5);
    expect(() => credit.consume(6, 0, 0)).toThrow("a reader consumes only what has arrived");
  });

  test("of a body that has ended is what is still to be read, and then nothing", () => {
    const budget = new Budget();
    const credit = begin(budget);
    credit.receive(1000);
    credit.close();
    expect([budget.usedBytes, credit.grantedBytes, credit.windowBytes]).toEqual([1000, 0, 0]);
    expect([credit.consume(400, 1, 0), budget.usedBytes]).toEqual([0, 600]);
    credit.close();
    expect([credit.consume(600, 1, 0), budget.usedBytes]).toEqual([0, 0]);
  });

  test("of a body that was cancelled is nothing at once", () => {
    const budget = new Budget();
    const credit = begin(budget);
    credit.receive(1000);
    credit.discard();
    credit.discard();
    expect([budget.usedBytes, credit.bufferedBytes, credit.grantedBytes]).toEqual([0, 0, 0]);
  });

  test("never promises more than its window, and its window is what the budget holds, whatever happens", () => {
    const step = fc.record({
      what: fc.constantFrom("receive", "consume", "close", "discard", "elsewhere"),
      share: fc.integer({ min: 0, max: 20 }).map((twentieths) => twentieths / 20),
      ms: fc.constantFrom(0, 1, 30, 120),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(64 * KiB, MiB, BUDGET_BYTES),
        fc.integer({ min: 1, max: INITIAL_WINDOW_BYTES }),
        fc.constantFrom(0, 1, 20, 200),
        fc.array(step, { maxLength: 200, size: "max" }),
        (totalBytes, windowBytes, rttMs, steps) => {
          const budget = new Budget(totalBytes);
          expect(budget.reserve(windowBytes)).toBe(true);
          const credit = begin(budget, windowBytes);
          let now = 0;
          let elsewhere = 0;
          let over = false;
          // What the sender believes: it must never differ from what the receiver has granted.
          let held = windowBytes;
          for (const { what, share, ms } of steps) {
            now += ms;
            if (what === "receive" && !over) {
              const size = Math.floor(held * share);
              expect(credit.receive(size)).toBe(true);
              held -= size;
            } else if (what === "consume") {
              held += credit.consume(Math.floor(credit.bufferedBytes * share), now, rttMs);
            } else if (what === "elsewhere") {
              // Other bodies come and go.
              budget.release(elsewhere);
              elsewhere = Math.floor(budget.freeBytes * share);
              expect(budget.reserve(elsewhere)).toBe(true);
            } else if ((what === "close" || what === "discard") && share === 0) {
              credit[what]();
              over = true;
            }
            if (over) held = 0;
            expect(credit.grantedBytes).toBe(held);
            expect(credit.grantedBytes + credit.bufferedBytes).toBeLessThanOrEqual(
              over ? credit.bufferedBytes : credit.windowBytes,
            );
            expect(credit.windowBytes).toBeLessThanOrEqual(MAX_WINDOW_BYTES);
            expect(budget.usedBytes - elsewhere).toBe(
              over ? credit.bufferedBytes : credit.windowBytes,
            );
          }
          credit.close();
          credit.consume(credit.bufferedBytes, now, rttMs);
          expect(budget.usedBytes).toBe(elsewhere);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("a window on a path", () => {
  test.each([
    ["1 MB/s at 100 ms", 1000, 100],
    ["20 MB/s at 20 ms", 20_000, 20],
    ["10 MB/s at 150 ms", 10_000, 150],
    ["50 MB/s at 80 ms", 50_000, 80],
    ["100 MB/s at 5 ms", 100_000, 5],
  ])(
    "becomes what fills %s, about twice the bytes under way, and no more",
    (_, bytesPerMs, rttMs) => {
      const budget = new Budget();
      const path = new PathSimulation({ budget, bytesPerMs, rttMs });
      path.run(20 * rttMs + 200);
      const before = path.takenBytes;
      path.run(1000);
      expect((path.takenBytes - before) / 1000 / bytesPerMs).toBeGreaterThan(0.95);
      const under = bytesPerMs * rttMs;
      expect(path.credit.windowBytes).toBeGreaterThan(1.2 * under);
      expect(path.credit.windowBytes).toBeLessThan(Math.max(2.6 * under, INITIAL_WINDOW_BYTES + 1));
    },
  );

  test("reaches the path's speed within twelve round trips", () => {
    const path = new PathSimulation({ budget: new Budget(), bytesPerMs: 10_000, rttMs: 100 });
    path.run(1200);
    const before = path.takenBytes;
    path.run(100);
    expect(path.takenBytes - before).toBeGreaterThan(0.9 * 100 * 10_000);
  });

  test("does not grow for a reader that is slower than the path", () => {
    const budget = new Budget();
    const path = new PathSimulation({ budget, bytesPerMs: 20_000, rttMs: 50, readBytesPerMs: 200 });
    path.run(5000);
    expect(path.credit.windowBytes).toBe(INITIAL_WINDOW_BYTES);
    expect(path.takenBytes).toBeGreaterThan(0.95 * 5000 * 200);
  });

  test("of a reader that stalls holds what it had, and the sender stops", () => {
    const budget = new Budget();
    const path = new PathSimulation({ budget, bytesPerMs: 5000, rttMs: 20 });
    path.run(500);
    path.readBytesPerMs = 0;
    path.run(500);
    // All but what was not worth a frame.
    expect(path.credit.bufferedBytes).toBeGreaterThan((7 / 8) * path.credit.windowBytes);
    expect(path.sender.bytes).toBe(0);
    expect(budget.usedBytes).toBe(path.credit.windowBytes);
    path.readBytesPerMs = Number.POSITIVE_INFINITY;
    const before = path.takenBytes;
    path.run(200);
    expect(path.takenBytes - before).toBeGreaterThan(0.8 * 200 * 5000);
  });

  test("shrinks when memory is scarce and its reader has become slow, but not below what is promised", () => {
    const budget = new Budget();
    const path = new PathSimulation({ budget, bytesPerMs: 50_000, rttMs: 40 });
    path.run(1000);
    const wide = path.credit.windowBytes;
    expect(wide).toBeGreaterThan(2 * MiB);
    path.readBytesPerMs = 400;
    budget.reserve(budget.freeBytes - 1000);
    path.run(20_000);
    const narrow = path.credit.windowBytes;
    expect(narrow).toBeGreaterThanOrEqual(BUSY_WINDOW_BYTES);
    expect(narrow, "twice what is read in a round trip").toBeLessThan(3 * 400 * 40);
    expect(budget.freeBytes).toBe(wide - narrow + 1000);
    const before = path.takenBytes;
    path.run(1000);
    expect(path.takenBytes - before, "the slow reader is still served").toBeGreaterThan(
      0.9 * 1000 * 400,
    );
  });

  test("shrinks with its reader though memory is plenty, but not below a new body's, and grows again", () => {
    const path = new PathSimulation({ budget: new Budget(), bytesPerMs: 50_000, rttMs: 40 });
    path.run(1000);
    const wide = path.credit.windowBytes;
    path.readBytesPerMs = 400;
    path.run(10_000);
    expect(path.credit.windowBytes).toBeGreaterThanOrEqual(INITIAL_WINDOW_BYTES);
    expect(path.credit.windowBytes).toBeLessThan(4 * INITIAL_WINDOW_BYTES);
    path.readBytesPerMs = Number.POSITIVE_INFINITY;
    path.run(2000);
    expect(path.credit.windowBytes).toBeGreaterThan(0.8 * wide);
  });

  test("that is too large takes what is read in place of giving it back, until it is not", () => {
    const [bytesPerMs, rttMs] = [2500, 50];
    const path = new PathSimulation({ budget: new Budget(), bytesPerMs, rttMs });
    path.run(3000);
    expect(path.credit.windowBytes).toBeLessThan(1.7 * bytesPerMs * rttMs);
    expect(path.credit.grantedBytes + path.credit.bufferedBytes).toBeLessThanOrEqual(
      path.credit.windowBytes,
    );
  });

  test("is the same size for a reader in large bites as for one in small ones, within a factor of two", () => {
    const sizes = [1, 4, 16, 64].map((chunkKiB) => {
      const options = { bytesPerMs: 10_000, rttMs: 60, chunkBytes: chunkKiB * KiB };
      const path = new PathSimulation({ budget: new Budget(), ...options });
      path.run(3000);
      return path.credit.windowBytes;
    });
    expect(Math.max(...sizes)).toBeLessThan(2 * Math.min(...sizes));
  });
});
