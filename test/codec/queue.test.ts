/** The queue: an array's behaviour at another cost. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Queue } from "../../codec/queue.ts";

test("a queue gives back what it was given, in order, as an array would", () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 1500 }) }) },
    { weight: 3, arbitrary: fc.record({ shift: fc.integer({ min: 1, max: 1500 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const queue = new Queue<number>();
      // A model that moves an index: an array's shift() is what the queue exists to avoid.
      let first = 0;
      let next = 0;
      for (const each of steps) {
        if ("push" in each) {
          for (let i = 0; i < each.push; i++) queue.push(next++);
        } else {
          for (let i = 0; i < each.shift; i++) {
            expect(queue.shift()).toBe(first < next ? first : undefined);
            if (first < next) first++;
          }
        }
        expect(queue.length).toBe(next - first);
      }
    }),
    { numRuns: 50 },
  );
});

test("an empty queue gives nothing, as often as it is asked, and works afterwards", () => {
  const queue = new Queue<string>();
  expect([queue.shift(), queue.shift(), queue.length]).toEqual([undefined, undefined, 0]);
  queue.push("a");
  expect([queue.length, queue.shift(), queue.shift()]).toEqual([1, "a", undefined]);
});
