import fc from "fast-check";
import { expect, test } from "vitest";
import {
  BACKOFF_BASE_MS,
  BACKOFF_CAP_MS,
  backoffMs,
  RETRY_AFTER_CAP_MS,
  retryAfterMs,
} from "../../agent/backoff.ts";

const attempts = fc.nat({ max: 1_000_000 });
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("a wait is never longer than the cap, however often the edge was not there", () => {
  fc.assert(
    fc.property(attempts, randoms, (attempt, random) => {
      const waitMs = backoffMs(attempt, random);
      expect(waitMs).toBeGreaterThanOrEqual(0);
      expect(waitMs).toBeLessThan(BACKOFF_CAP_MS);
    }),
  );
});

test("the bound of the wait doubles with each attempt until it is the cap", () => {
  const bounds = [0, 1, 2, 3, 4, 5, 6, 60].map((attempt) => backoffMs(attempt, 0.999_999_999));
  expect(bounds.map(Math.round)).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
});

test("the wait is a uniform draw from zero to the bound, so that agents spread", () => {
  expect(backoffMs(0, 0)).toBe(0);
  expect(backoffMs(0, 0.5)).toBe(BACKOFF_BASE_MS / 2);
});

test("a Retry-After is waited for in full and then jittered, but never believed beyond five minutes", () => {
  fc.assert(
    fc.property(attempts, randoms, fc.nat(), (attempt, random, asked) => {
      const waitMs = backoffMs(attempt, random, asked);
      const believed = Math.min(asked, RETRY_AFTER_CAP_MS);
      expect(waitMs).toBeGreaterThanOrEqual(believed);
      expect(waitMs).toBeLessThanOrEqual(believed + BACKOFF_CAP_MS);
    }),
  );
});

test("a Retry-After is seconds or a date, and anything else is none", () => {
  const now = Date.parse("Tue, 24 Nov 2026 06:00:00 GMT");
  expect(retryAfterMs("2", now)).toBe(2000);
  expect(retryAfterMs("Tue, 24 Nov 2026 06:00:30 GMT", now)).toBe(30_000);
  expect(retryAfterMs("Tue, 24 Nov 2026 05:00:00 GMT", now)).toBe(0);
  expect(retryAfterMs("soon", now)).toBeUndefined();
});
