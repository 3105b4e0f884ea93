/** What of the targets is said to be met, and what a run fails for. */
import { describe, expect, test } from "vitest";
import { faultsOf } from "../../bench/faults.ts";
import { BARE_256, BARE_64, HELLO, RELAY } from "../../bench/floor/floors.ts";
import { STALLED } from "../../bench/memory.ts";
import { SSH } from "../../bench/peers/ssh.ts";
import type { Row } from "../../bench/row.ts";
import { type Verdict, verdictsOf } from "../../bench/targets.ts";
import { SOCKETS } from "../../bench/tunnel.ts";
import { row } from "./rows.ts";

function verdict(rows: readonly Row[], target: string, of?: string): Verdict {
  const found = verdictsOf(rows, of).find((one) => one.target === target);
  if (found === undefined) throw new Error(`there is no target called ${target}`);
  return found;
}

const download = (system: string, mbPerS: number, edgeMsPerGiB = 1000): Row =>
  row("tunnel", "download, 1", system, { mbPerS, edgeMsPerGiB });

describe("a verdict", () => {
  test("is a ratio to the better of two floors, whichever way is better", () => {
    const rows = [
      download("sluice", 70, 1300),
      download(BARE_64, 100, 1000),
      download(BARE_256, 50, 2000),
    ];
    expect(verdict(rows, "one download ÷ bare WebSocket")).toMatchObject({ value: 0.7, met: true });
    expect(verdict(rows, "edge CPU a GiB down ÷ bare WebSocket")).toMatchObject({
      value: 1.3,
      met: true,
    });
  });

  test("is met at its limit, and missed by anything beyond it", () => {
    const hello = row("tunnel", "small, c=1", HELLO, { p50Ms: 1 });
    const ours = (p50Ms: number): Row => row("tunnel", "small, c=1", "sluice", { p50Ms });
    const met = (p50Ms: number): boolean | undefined =>
      verdict([hello, ours(p50Ms)], "c=1: p50 ÷ hello").met;
    expect([met(1.9), met(2), met(2.001)]).toEqual([true, true, false]);
    const ssh = download(SSH, 100);
    const quick = (mbPerS: number): boolean | undefined =>
      verdict([ssh, download("sluice", mbPerS)], "one download ÷ ssh -R").met;
    expect([quick(121), quick(120), quick(119.9)]).toEqual([true, true, false]);
  });

  test("is neither where either part of it is missing", () => {
    const unknown = { value: undefined, met: undefined };
    expect(verdict([download("sluice", 100)], "one download ÷ ssh -R")).toMatchObject(unknown);
    expect(verdict([download(SSH, 100)], "one download ÷ ssh -R")).toMatchObject(unknown);
    for (const one of verdictsOf([])) expect(one).toMatchObject(unknown);
  });

  test("on WebSockets and on event streams is one of the same row", () => {
    const standing = (system: string, p50Ms: number, eventP50Ms: number): Row =>
      row("tunnel", SOCKETS, system, { p50Ms, eventP50Ms });
    const rows = [standing("sluice", 6, 9), standing(RELAY, 4, 3)];
    expect(verdict(rows, "500 WebSockets: p50 ÷ bare relay")).toMatchObject({ value: 1.5 });
    const events = verdict(rows, "100 event streams beside them: p50 ÷ bare relay");
    expect(events).toMatchObject({ value: 3, met: false });
  });

  test("can be asked of another in our place: what a floor reaches of the same", () => {
    const rows = [download("sluice", 100), download(SSH, 80), download(BARE_64, 120)];
    expect(verdict(rows, "one download ÷ ssh -R", BARE_64).value).toBe(1.5);
  });

  test("on a link of 20 Mbit/s is the share of its 2.5 MB/s", () => {
    const rows = [row("path", "download, 1, 20 Mbit/s, 50 ms", "sluice", { mbPerS: 2.4 })];
    expect(verdict(rows, "20 Mbit/s: share of the link")).toMatchObject({ value: 0.96, met: true });
  });
});

describe("a run fails", () => {
  const fine = row("tunnel", "small, c=1", "sluice", { p50Ms: 1 });

  test("for a row of ours or a floor that has a fault or no figure, and says which", () => {
    const rows = [
      fine,
      row("tunnel", "events", "sluice", { p50Ms: 1 }, { fault: "wrong bytes at 7 of a body" }),
      row("tunnel", "small, c=1", HELLO, {}, { kind: "floor" }),
    ];
    expect(faultsOf(rows, [], false)).toEqual([
      "tunnel · events · sluice: wrong bytes at 7 of a body",
      `tunnel · small, c=1 · ${HELLO}: no figures`,
    ]);
  });

  test("not for a peer's faults, nor for speed", () => {
    const slow = [
      row("tunnel", "small, c=1", "sluice", { p50Ms: 9 }),
      row("tunnel", "small, c=1", HELLO, { p50Ms: 1 }, { kind: "floor" }),
      row("tunnel", "small, c=1", "pipenet", {}, { fault: "no answer within 60000 ms" }),
    ];
    expect(verdict(slow, "c=1: p50 ÷ hello").met).toBe(false);
    expect(faultsOf(slow, verdictsOf(slow), false)).toEqual([]);
  });

  test("for memory beyond its bound", () => {
    const stalled = (edgeGrowthMiB: number): Row[] => [
      row("memory", STALLED, "sluice", { edgeGrowthMiB, agentGrowthMiB: 0 }),
    ];
    expect(faultsOf(stalled(16), verdictsOf(stalled(16)), false)).toEqual([]);
    expect(faultsOf(stalled(16.5), verdictsOf(stalled(16.5)), false)).toEqual([
      "stalled reader: edge grows by 16.5 MiB, at most 16",
    ]);
  });

  test("for having measured nothing, which is what a misspelt name comes to", () => {
    expect(faultsOf([], verdictsOf([]), false)).toEqual([
      "no row is called that: --list says what there is",
    ]);
  });

  test("for a target that was not measured although everything was to be, unless it needs a peer", () => {
    const verdicts = verdictsOf([fine]);
    const faults = faultsOf([fine], verdicts, true);
    expect(faults).toContain("c=64: messages a request: not measured");
    expect(faults.filter((fault) => fault.includes(SSH))).toEqual([]);
    expect(faultsOf([fine], verdicts, false)).toEqual([]);
  });
});
