/** What a comparison calls a move, and what it calls noise. */
import { describe, expect, test } from "vitest";
import { comparison } from "../../bench/compare.ts";
import { figure, resultOf, row } from "./rows.ts";

/** One row before and after: what the comparison says of it. */
function said(before: readonly number[], now: readonly number[], better: "more" | "less" = "more") {
  const of = (samples: readonly number[]) =>
    resultOf([row("tunnel", "download, 1", "sluice", { mbPerS: figure(samples, better) })]);
  const [head = "", ...lines] = comparison(of(before), of(now)).split("\n");
  return { head, lines: lines.join("\n") };
}

const steady = [100, 100, 101, 99, 100, 100];
const wild = [60, 80, 100, 100, 120, 140];

const times = (samples: readonly number[], factor: number): number[] =>
  samples.map((sample) => sample * factor);

describe("a comparison", () => {
  test("counts a move beyond the noise, and says which way is good", () => {
    expect(said(steady, times(steady, 1.2)).lines).toMatch(/100 → 120.*\+20\.0 %.*better/);
    expect(said(steady, times(steady, 0.8)).lines).toMatch(/100 → 80\.0.*−20\.0 %.*WORSE/);
    expect(said(steady, times(steady, 1.2), "less").lines).toMatch(/\+20\.0 %.*WORSE/);
    expect(said(steady, times(steady, 0.8), "less").lines).toMatch(/−20\.0 %.*better/);
    expect(said(steady, times(steady, 0.8)).head).toMatch(/1 moved, 0 did not$/);
  });

  test("calls the same move noise where the rounds of either run differ by as much", () => {
    for (const { head, lines } of [
      said(wild, times(steady, 1.2)),
      said(steady, times(wild, 1.2)),
      said(wild, times(wild, 0.8)),
    ]) {
      expect(head).toMatch(/0 moved, 1 did not$/);
      expect(lines).toMatch(/noise \(±\d/);
      expect(lines).not.toMatch(/better|WORSE/);
    }
  });

  test("does not mention what moved by less than 3 %, however steady", () => {
    const { head, lines } = said([100, 100, 100], [102.9, 102.9, 102.9]);
    expect([head, lines]).toEqual([expect.stringMatching(/0 moved, 1 did not$/), ""]);
    expect(said([100, 100, 100], [103.1, 103.1, 103.1]).lines).toMatch(/better/);
  });

  test("gives a single round, which says nothing of its noise, a quarter of it", () => {
    expect(said([100], [120]).lines).toMatch(/noise \(±25\.0 %\)/);
    expect(said(steady, [120]).lines).toMatch(/noise \(±25\.0 %\)/);
    expect(said([100], [130]).lines).toMatch(/better/);
  });

  test("says when a quick run is held against a full one", () => {
    const rows = [row("mux", "a frame", "sluice", { ns: figure(steady, "less") })];
    const [full, quick] = [resultOf(rows), resultOf(rows, { quick: true })];
    expect(comparison(full, quick)).toContain("one of the two is a quick run");
    expect(comparison(quick, quick)).not.toContain("quick run");
  });

  test("puts what moved before what is noise, and leaves out what is in one run only", () => {
    const before = resultOf([
      row("tunnel", "a", "sluice", { mbPerS: figure(wild) }),
      row("tunnel", "b", "sluice", { mbPerS: figure(steady), gone: figure(steady) }),
      row("tunnel", "gone", "sluice", { mbPerS: figure(steady) }),
    ]);
    const now = resultOf([
      row("tunnel", "a", "sluice", { mbPerS: figure(times(wild, 1.2)) }),
      row("tunnel", "b", "sluice", { mbPerS: figure(times(steady, 2)), new: figure(steady) }),
      row("tunnel", "b", "ssh -R", { mbPerS: figure(steady) }),
    ]);
    const [head, first, second, ...rest] = comparison(before, now).split("\n");
    expect(head).toBe(`against ${before.commit} of ${before.at}: 1 moved, 1 did not`);
    expect(first).toContain("tunnel · b · sluice");
    expect(second).toContain("tunnel · a · sluice");
    expect(rest).toEqual([]);
  });
});
