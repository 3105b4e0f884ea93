import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { onWake } from "../../agent/connection/slept.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Time passes while nothing runs. */
function sleep(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

test("a machine that has slept is noticed within half a second of waking, once for each sleep", () => {
  const woke = vi.fn<() => void>();
  const stop = onWake(woke);
  vi.advanceTimersByTime(60_000);
  expect(woke).not.toHaveBeenCalled();
  for (let nth = 1; nth <= 2; nth++) {
    sleep(3_600_000);
    vi.advanceTimersByTime(500);
    expect(woke).toHaveBeenCalledTimes(nth);
    vi.advanceTimersByTime(60_000);
    expect(woke).toHaveBeenCalledTimes(nth);
  }
  stop();
});

test("a process that was busy for a moment has not slept", () => {
  const woke = vi.fn<() => void>();
  const stop = onWake(woke);
  sleep(2999);
  vi.advanceTimersByTime(500);
  expect(woke).not.toHaveBeenCalled();
  sleep(3000);
  vi.advanceTimersByTime(500);
  expect(woke).toHaveBeenCalledOnce();
  stop();
});

test("a clock that was set back is no sleep, and hides none", () => {
  const woke = vi.fn<() => void>();
  const stop = onWake(woke);
  sleep(-3_600_000);
  vi.advanceTimersByTime(500);
  expect(woke).not.toHaveBeenCalled();
  sleep(10_000);
  vi.advanceTimersByTime(500);
  expect(woke).toHaveBeenCalledOnce();
  stop();
});

test("nothing looks any more when it was stopped", () => {
  const stop = onWake(() => {});
  stop();
  expect(vi.getTimerCount()).toBe(0);
});
