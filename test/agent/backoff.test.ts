import fc from "fast-check";
import { expect, test } from "vitest";
import {
  BACKOFF_BASE_MS,
  BACKOFF_CAP_MS,
  backoffMs,
  RETRY_AFTER_CAP_MS,
  retryAfterMs,
  URGENT_CAP_MS,
  type Wait,
} from "../../agent/connection/backoff.ts";

const idle: Wait = { attempt: 0, busy: false, urgent: false, retryAfterMs: 0 };
const waits = fc.record({
  attempt: fc.nat({ max: 1_000_000 }),
  busy: fc.boolean(),
  urgent: fc.boolean(),
  retryAfterMs: fc.nat(),
});
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("a wait is never longer than the cap, however often the edge was not there", () => {
  fc.assert(
    fc.property(waits, randoms, (wait, random) => {
      const waitMs = backoffMs({ ...wait, retryAfterMs: 0 }, random);
      expect(waitMs).toBeGreaterThanOrEqual(0);
      expect(waitMs).toBeLessThan(wait.urgent ? URGENT_CAP_MS : BACKOFF_CAP_MS);
    }),
  );
});

test("the bound of the wait doubles with each attempt until it is the cap", () => {
  const bounds = [0, 1, 2, 3, 4, 5, 6, 60].map((attempt) =>
    backoffMs({ ...idle, attempt }, 0.999_999_999),
  );
  expect(bounds.map(Math.round)).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
});

test("the wait is a uniform draw from zero to the bound, so that agents spread", () => {
  expect(backoffMs(idle, 0)).toBe(0);
  expect(backoffMs(idle, 0.5)).toBe(BACKOFF_BASE_MS / 2);
});

test("the first dial after a loss comes at once when requests in flight wait for it, and only then", () => {
  const busy = { ...idle, busy: true, urgent: true };
  expect(backoffMs(busy, 0.9)).toBe(0);
  expect(backoffMs({ ...busy, attempt: 1 }, 0.9)).toBeGreaterThan(0);
  expect(backoffMs({ ...busy, retryAfterMs: 1000 }, 0)).toBe(1000);
});

test("a Retry-After is waited for in full and then jittered, but never believed beyond five minutes", () => {
  fc.assert(
    fc.property(waits, randoms, (wait, random) => {
      const waitMs = backoffMs(wait, random);
      const believed = Math.min(wait.retryAfterMs, RETRY_AFTER_CAP_MS);
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
