/** docs/scaling.md works with the prices and the limits of the code. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { prices } from "../../bench/cost.ts";
import { BUDGET_BYTES } from "../../codec/limits.ts";

const page = readFileSync(new URL("../../docs/scaling.md", import.meta.url), "utf8");

/** The numbers of a table's rows, by the first words of its head. Text between numbers is left out. */
function table(head: string): number[][] {
  const lines =
    page
      .slice(page.indexOf(`| ${head}`))
      .split("\n\n", 1)[0]
      ?.split("\n") ?? [];
  return lines.slice(2).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => Number.parseFloat(cell.replaceAll(",", ""))),
  );
}

/** To the three digits that the page shows. */
function near(shown: number | undefined, value: number): void {
  expect(Math.abs((shown ?? Number.NaN) / value - 1)).toBeLessThan(0.005);
}

const MONTH_S = 30 * 86_400;
const SHARDS = [1, 10, 100, 1000];
const CPU_MS = 0.163;
const perMillion =
  prices.perMillionWorkerRequests +
  CPU_MS * prices.perMillionCpuMs +
  prices.perMillionObjectRequests * (1 + 1 / prices.messagesPerObjectRequest);
const shardMonth = ((MONTH_S * prices.objectGb) / 1e6) * prices.perMillionGbS;

describe("docs/scaling.md", () => {
  test("says what a request and a shard cost", () => {
    near(Number(/\*\*\$([\d.]+) a million\*\*/.exec(page)?.[1]), perMillion);
    near(Number(/a month, \*\*\$([\d.]+)\*\*/.exec(page)?.[1]), shardMonth);
  });

  test("adds up requests", () => {
    const rows = table("shards | requests/s | a month");
    expect(rows.map(([shards]) => shards)).toEqual(SHARDS);
    for (const [shards = 0, perSecond = 0, billions, dollars, ofShards] of rows) {
      expect(perSecond).toBe(1000 * shards);
      const millions = (perSecond * MONTH_S) / 1e6;
      near(billions, millions / 1000);
      near(dollars, millions * perMillion + shards * shardMonth);
      near(ofShards, shards * shardMonth);
    }
    const spread = table("shards | dollars a month, if");
    expect(spread.map(([shards]) => shards)).toEqual(SHARDS);
    for (const [shards = 0, dollars] of spread) {
      near(dollars, 1000 * perMillion + shards * shardMonth);
    }
  });

  test("adds up bytes", () => {
    const rows = table("shards | bytes/s");
    expect(rows.map(([shards]) => shards)).toEqual(SHARDS);
    for (const [shards = 0, gbPerS = 0, terabytes, dollars] of rows) {
      expect(gbPerS).toBeCloseTo(0.1 * shards);
      const bytes = gbPerS * 1e9 * MONTH_S;
      near(terabytes, bytes / 1e12);
      const objectRequests = (4.3 * (bytes / 1024 ** 2)) / prices.messagesPerObjectRequest;
      const messages = (objectRequests / 1e6) * prices.perMillionObjectRequests;
      expect(dollars).toBeGreaterThan(0.98 * (messages + shards * shardMonth));
      expect(dollars).toBeLessThan(1.02 * (messages + shards * shardMonth));
    }
    for (const [, mb, ms] of page.matchAll(/(\d+) MB\/s at (\d+) ms/g)) {
      near(Number(mb), BUDGET_BYTES / 1e6 / (Number(ms) / 1000));
    }
  });
});
