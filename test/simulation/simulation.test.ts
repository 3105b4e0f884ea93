/** Seeds of simulated worlds, many of them, in which nothing may be lost; and mistakes made on purpose, each of which has to be found. */
import { afterEach, describe, expect, test } from "vitest";
import { onceFailed } from "./once-failed.ts";
import { plant, type PlantName, plants } from "./planted.ts";
import { type Outcome, simulate } from "./run.ts";

/** How many seeds are drawn anew each time. */
const SEEDS = 2500;

/** Within how many seeds a planted mistake has to be found: one that comes to light only by rare chance takes some. */
const FOUND_WITHIN = 2000;

/** What a failed run is reported with. */
function replay({ seed, fault }: Outcome, planted?: PlantName): string {
  const command = `npm run simulate -- --seed ${seed}${planted === undefined ? "" : ` --plant ${planted}`}`;
  return `${fault?.message ?? "nothing failed"}\n  ${command}\n  ${command} --trace`;
}

/** Runs seeds until one fails. */
async function firstFailure(from: number, count: number): Promise<Outcome | undefined> {
  for (let seed = from; seed < from + count; seed++) {
    const outcome = await simulate(seed);
    if (outcome.fault !== undefined) return outcome;
  }
  return undefined;
}

describe("a simulated tunnel", () => {
  test("loses nothing, whatever befalls it", { timeout: 120_000 }, async () => {
    const from = Math.floor(Math.random() * 2 ** 40);
    process.stdout.write(`simulation: ${SEEDS} seeds from ${from}\n`);
    const failed = await firstFailure(from, SEEDS);
    expect.soft(failed === undefined ? "" : replay(failed)).toBe("");
  });

  test("is the same each time it is run with one seed", async () => {
    const trace: string[][] = [[], []];
    for (const lines of trace) await simulate(2152, lines);
    expect(trace[0]?.length).toBeGreaterThan(50);
    expect(trace[1]).toEqual(trace[0]);
  });

  test.each(onceFailed)("still survives seed $seed: $found", async ({ seed }) => {
    const outcome = await simulate(seed);
    expect(outcome.fault === undefined ? "" : replay(outcome)).toBe("");
  });
});

describe("a planted mistake is found:", () => {
  let takeOut = (): void => {};
  afterEach(() => takeOut());

  test.each(plants)("%s", { timeout: 120_000 }, async (name) => {
    takeOut = plant(name);
    const found = await firstFailure(1, FOUND_WITHIN);
    expect(found?.fault, `${name} was not found`).toBeInstanceOf(Error);
    takeOut();
    takeOut = () => {};
    // It was the mistake that failed, not the seed.
    const clean = await simulate(found?.seed ?? 0);
    expect(clean.fault === undefined ? "" : replay(clean)).toBe("");
  });
});
