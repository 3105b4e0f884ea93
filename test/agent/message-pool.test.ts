import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MessagePool } from "../../agent/connection/message-pool.ts";
import { MAX_MESSAGE_BYTES, MESSAGE_TARGET_BYTES } from "../../codec/limits.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const LARGE = MESSAGE_TARGET_BYTES;

function takeMany(pool: MessagePool, count: number): Uint8Array[] {
  return Array.from({ length: count }, () => pool.take(LARGE));
}

/** How many of `messages` use memory of `before` again. */
function reused(before: readonly Uint8Array[], messages: readonly Uint8Array[]): number {
  const known = new Set(before.map(({ buffer }) => buffer));
  return messages.filter(({ buffer }) => known.has(buffer)).length;
}

test.each([0, 1, 131_071, 131_072, LARGE, LARGE + 131_072, LARGE + 131_073, MAX_MESSAGE_BYTES])(
  "a message of %i bytes gets just so many",
  (bytes) => {
    expect(new MessagePool().take(bytes)).toHaveLength(bytes);
  },
);

test("memory of a large message is used again once it was given back, and never before", () => {
  const pool = new MessagePool();
  const [first, second] = takeMany(pool, 2);
  if (first === undefined || second === undefined) throw new Error("no messages");
  expect(second.buffer).not.toBe(first.buffer);
  pool.give(first);
  const third = pool.take(LARGE - 1000);
  expect(third.buffer).toBe(first.buffer);
  expect(third).toHaveLength(LARGE - 1000);
  expect(pool.take(LARGE).buffer).not.toBe(first.buffer);
});

test("what is given back twice is lent out once", () => {
  const pool = new MessagePool();
  const message = pool.take(LARGE);
  pool.give(message);
  pool.give(message);
  expect(reused([message], takeMany(pool, 2))).toBe(1);
});

test.each([
  ["a small message of its own", (pool: MessagePool) => pool.take(131_071)],
  ["one that is larger than what is pooled", (pool: MessagePool) => pool.take(LARGE + 131_073)],
  ["one that came from elsewhere", () => new Uint8Array(LARGE)],
])("%s is left alone", (_, make) => {
  const pool = new MessagePool();
  const message = make(pool);
  pool.give(message);
  expect(reused([message], takeMany(pool, 1))).toBe(0);
});

test("it keeps memory for 64 messages at most", () => {
  const pool = new MessagePool();
  const messages = takeMany(pool, 70);
  for (const message of messages) pool.give(message);
  expect(reused(messages, takeMany(pool, 70))).toBe(64);
});

test("two seconds after the last large message it keeps memory for four", () => {
  const pool = new MessagePool();
  const messages = takeMany(pool, 11);
  for (const message of messages.slice(1)) pool.give(message);
  vi.advanceTimersByTime(1999);
  // One more: the two seconds begin anew.
  for (const message of messages.slice(0, 1)) pool.give(message);
  vi.advanceTimersByTime(1999);
  const again = takeMany(pool, 11);
  expect(reused(messages, again)).toBe(11);
  for (const message of again) pool.give(message);
  vi.advanceTimersByTime(2000);
  expect(reused(messages, takeMany(pool, 11))).toBe(4);
  expect(vi.getTimerCount()).toBe(0);
});
