import { expect, test, vi } from "vitest";
import { Listeners } from "../../agent/library/listeners.ts";

test("a listener that throws keeps nobody from hearing the event, and its error is an uncaught one", () => {
  const listeners = new Listeners();
  const heard: string[] = [];
  const error = new Error("the listener's own");
  listeners.on("replaced", () => {
    throw error;
  });
  listeners.on("replaced", ({ event }) => heard.push(event));
  const later: unknown[] = [];
  const spy = vi.spyOn(process, "nextTick").mockImplementation((act) => later.push(act));
  try {
    listeners.tell({ event: "replaced" });
  } finally {
    spy.mockRestore();
  }
  expect(heard).toEqual(["replaced"]);
  expect(later.length).toBe(1);
  expect(later[0]).toThrow(error);
});

test("a listener that leaves while it is told is told no more, and the others are", () => {
  const listeners = new Listeners();
  let first = 0;
  let second = 0;
  const leave = listeners.on("replaced", () => {
    first++;
    leave();
  });
  listeners.on("replaced", () => second++);
  listeners.tell({ event: "replaced" });
  listeners.tell({ event: "replaced" });
  expect([first, second]).toEqual([1, 2]);
});
