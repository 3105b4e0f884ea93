import { expect, test } from "vitest";
import { Pace } from "../../edge/pace.ts";
import { PROVEN_READER_BYTES } from "../../codec/limits.ts";

const KiB = 1024;

/** Sends like a visitor that stalls after twenty pulls; returns the last pull's size. */
function stall(pace: Pace): number {
  const flow = pace.begin();
  let last = 0;
  for (let i = 0; i < 20; i++) flow.sent((last = flow.burstBytes));
  return last;
}

test("a few answers are handed over in large pieces, even if their visitors stall", () => {
  const pace = new Pace();
  for (let i = 0; i < 16; i++) expect(stall(pace)).toBe(64 * KiB);
});

test("what the runtime holds behind five hundred stalled answers stays below 48 MiB", () => {
  const pace = new Pace();
  let last = 0;
  for (let i = 0; i < 500; i++) last = stall(pace);
  expect(last).toBe(4 * KiB);
  expect(pace.heldBytes).toBeLessThan(48 * KiB * KiB);
});

test("a visitor who has taken more than socket buffers hold is served fast beside any number", () => {
  const pace = new Pace();
  for (let i = 0; i < 500; i++) stall(pace);
  const flow = pace.begin();
  for (let sent = 0; sent < PROVEN_READER_BYTES; sent += 4 * KiB) {
    expect(flow.burstBytes).toBe(4 * KiB);
    flow.sent(4 * KiB);
  }
  expect(flow.burstBytes).toBe(64 * KiB);
});

test("what an answer held is free again when it is over", () => {
  const pace = new Pace();
  const flows = Array.from({ length: 100 }, () => pace.begin());
  for (const flow of flows) for (let i = 0; i < 20; i++) flow.sent(flow.burstBytes);
  expect(flows[0]?.burstBytes).toBe(4 * KiB);
  for (const flow of flows) flow.end();
  for (const flow of flows) flow.end();
  expect(pace.heldBytes).toBeCloseTo(0, 3);
  expect(pace.begin().burstBytes).toBe(64 * KiB);
});
