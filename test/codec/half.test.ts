/** One half of a stream: every input in every state. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type HalfInput, type HalfState, halfTransitions, isOver, step } from "../../codec/half.ts";

const states = Object.keys(halfTransitions) as HalfState[];
const inputs: HalfInput[] = ["head", "data", "end", "cancel"];

describe("a half", () => {
  test("takes a head, any data, and one end", () => {
    const run: HalfInput[] = ["head", "data", "data", "end"];
    expect(
      run.reduce<HalfState | undefined>((state, input) => state && step(state, input), "idle"),
    ).toBe("ended");
  });

  test.each([
    ["idle", "data"],
    ["idle", "end"],
    ["open", "head"],
    ["ended", "head"],
    ["ended", "data"],
    ["ended", "end"],
  ] as const)("that is %s has no use for %s: it is the sender's fault", (state, input) => {
    expect(step(state, input)).toBeUndefined();
  });

  test.each(states)(
    "that is %s may be cancelled, and nothing else comes of it afterwards",
    (state) => {
      const cancelled = step(state, "cancel");
      expect(cancelled).toBe(state === "ended" ? "ended" : "cancelled");
      expect(cancelled !== undefined && isOver(cancelled)).toBe(true);
    },
  );

  test("that is over stays what it is, whatever is still on its way", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...states),
        fc.array(fc.constantFrom(...inputs)),
        (start, run) => {
          let state: HalfState = start;
          for (const input of run) {
            const next = step(state, input);
            if (isOver(state)) expect(next ?? state).toBe(state);
            state = next ?? state;
          }
        },
      ),
    );
  });

  test("is over when it is ended or cancelled, not before", () => {
    expect(states.filter((state) => isOver(state))).toEqual(["ended", "cancelled"]);
  });
});
