/** What the README says of dollars is what was measured, at the prices of `bench/cost.ts`. */
import { expect, test } from "vitest";
import type { Result } from "../../bench/result.ts";
import { read } from "./markdown.ts";

const { cost } = JSON.parse(read("bench/results/full.json")) as Result;

/** The dollars of the lines of the published costs that begin so, the least and the most. */
function range(beginning: string): readonly [least: string, most: string] {
  const dollars = cost
    .filter(({ what }) => what.startsWith(beginning))
    .map((line) => line.dollars)
    .sort((a, b) => a - b);
  return [`$${(dollars[0] ?? 0).toFixed(2)}`, `$${(dollars.at(-1) ?? 0).toFixed(2)}`];
}

test("README.md says what the published result says of costs", () => {
  const readme = read("README.md");
  const [, request] = range("1 M small requests");
  const [leastDown, mostDown] = range("1 TB down");
  const [leastUp, mostUp] = range("1 TB up");
  expect(readme).toContain(`| a million small requests | ${request} |`);
  expect(readme).toContain(`down ${leastDown} to ${mostDown}, up ${leastUp} to ${mostUp}`);
});
