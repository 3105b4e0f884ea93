import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Pulse } from "../../edge/pulse.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("the pulse beats every five seconds for as long as there is a reason", () => {
  let beats = 0;
  const pulse = new Pulse(() => ++beats < 3);
  pulse.start();
  pulse.start();
  vi.advanceTimersByTime(4_999);
  expect(beats).toBe(0);
  vi.advanceTimersByTime(1);
  expect(beats).toBe(1);
  vi.advanceTimersByTime(60_000);
  expect(beats).toBe(3);
  expect(vi.getTimerCount()).toBe(0);
});

test("a stopped pulse leaves no timer, and starts again", () => {
  let beats = 0;
  const pulse = new Pulse(() => ++beats < 1);
  pulse.start();
  pulse.stop();
  expect(vi.getTimerCount()).toBe(0);
  pulse.start();
  vi.advanceTimersByTime(5_000);
  expect(beats).toBe(1);
});
