/** What `npm run profile` prints of a profile. */
import { expect, test } from "vitest";
import { topOf } from "../../bench/profile.ts";

const node = (id: number, functionName: string, url = "", lineNumber = -1) => ({
  id,
  callFrame: { functionName, url, lineNumber },
});

test("the functions with the most time of their own come first, and waiting is none", () => {
  const profile = {
    nodes: [node(1, "(idle)"), node(2, "poll", "file:///codec/mux.ts", 9), node(3, "")],
    samples: [1, 2, 3, 2, 1],
    timeDeltas: [900, 30, 20, 50, 900],
  };
  expect(topOf(profile, 15)).toEqual([" 80.0 %  poll mux.ts:10", " 20.0 %  (anonymous)"]);
  expect(topOf(profile, 1)).toHaveLength(1);
});
