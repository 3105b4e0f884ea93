import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BatchedSink } from "../../agent/terminal/batched-sink.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function sink(): { sink: BatchedSink; written: string[] } {
  const written: string[] = [];
  return { sink: new BatchedSink({ write: (text) => written.push(text) }), written };
}

test("the first line after a quiet moment is written at once", () => {
  const { sink: out, written } = sink();
  out.write("a\n");
  expect(written).toEqual(["a\n"]);
  vi.advanceTimersByTime(1000);
  out.write("b\n");
  expect(written).toEqual(["a\n", "b\n"]);
});

test("lines that come within a moment are written together, in order", () => {
  const { sink: out, written } = sink();
  for (const line of ["a\n", "b\n", "c\n"]) out.write(line);
  vi.advanceTimersByTime(20);
  expect(written).toEqual(["a\n", "b\nc\n"]);
  out.write("d\n");
  expect(written).toHaveLength(2);
  vi.advanceTimersByTime(20);
  expect(written).toEqual(["a\n", "b\nc\n", "d\n"]);
});

test("what has not been written when the process ends is written then", () => {
  const exits = process.listeners("exit");
  const { sink: out, written } = sink();
  out.write("a\n");
  out.write("b\n");
  const [ours] = process.listeners("exit").filter((listener) => !exits.includes(listener));
  ours?.(0);
  expect(written).toEqual(["a\n", "b\n"]);
});

test("it is a terminal if what it writes to is one", () => {
  const write = (): void => {};
  expect(new BatchedSink({ write }).isTTY).toBe(false);
  expect(new BatchedSink({ write, isTTY: true }).isTTY).toBe(true);
});
