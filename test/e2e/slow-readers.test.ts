/**
 * Visitors who stop reading: they hold up nobody, and what Sluice keeps for them stays small.
 *
 * Memory is bounded by these tests; speed beside stalled visitors is reported, because a shared machine decides it too.
 */
import { afterEach, describe, expect, test } from "vitest";
import type { Received } from "../support/origin.ts";
import { PeakMemory, procfs } from "../support/memory.ts";
import { Visitor } from "../support/raw-http.ts";
import { poll } from "../support/until.ts";
import { useTunnel } from "../support/use-tunnel.ts";

const tunnel = useTunnel({ agent: ["--concurrency", "1024"] });

const MiB = 1024 * 1024;
const block = Buffer.alloc(64 * 1024, "x");

/** Sends `bytes` (a multiple of 64 KiB) as fast as they are taken, with nothing of them in this process's memory. */
function pour({ response }: Received, bytes: number): void {
  response.writeHead(200, { "content-length": bytes });
  let left = bytes;
  const more = (): void => {
    while (left > 0 && !response.destroyed) {
      left -= block.length;
      if (!response.write(block)) break;
    }
    if (response.destroyed) return;
    if (left > 0) response.once("drain", more);
    else response.end();
  };
  more();
}

const stalled: Visitor[] = [];
afterEach(async () => {
  const from = tunnel.origin.log.filter((received) => received.target === "/large");
  for (const visitor of stalled.splice(0)) visitor.reset();
  await Promise.all(from.map(async (received) => received.gone()));
});

/** So many visitors who ask for 1 GiB, read its head, and then nothing more. */
async function stall(count: number): Promise<void> {
  tunnel.origin.on("/large", (received) => pour(received, 1024 * MiB));
  const from = tunnel.origin.log.length;
  const visitors = await Promise.all(
    Array.from({ length: count }, async () => Visitor.connect(tunnel.through)),
  );
  stalled.push(...visitors);
  await Promise.all(
    visitors.map(async (visitor) => {
      visitor.begin("GET", "/large", [], false);
      await visitor.head(60_000);
      visitor.socket.pause();
    }),
  );
  // Every buffer on the way is full when the origin can write no more.
  const asked = tunnel.origin.log.slice(from);
  let before = -1;
  await poll(
    () => {
      let written = 0;
      for (const { response } of asked) written += response.socket?.bytesWritten ?? 0;
      const still = written === before;
      before = written;
      return still;
    },
    "the origin being held back",
    120_000,
    1000,
  );
}

/** The median time of small requests, one after the other on one connection, in milliseconds. */
async function smallRequestMs(count: number): Promise<number> {
  const visitor = await Visitor.connect(tunnel.through);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const at = performance.now();
    visitor.request({ target: "/small" });
    expect((await visitor.answer()).status).toBe(200);
    times.push(performance.now() - at);
  }
  visitor.leave();
  return times.sort((a, b) => a - b)[count >> 1] ?? Number.NaN;
}

/** The speed of one download, in MiB a second. */
async function downloadSpeed(mebibytes: number): Promise<number> {
  tunnel.origin.on("/fast", (received) => pour(received, mebibytes * MiB));
  const visitor = await Visitor.connect(tunnel.through);
  const at = performance.now();
  visitor.begin("GET", "/fast", [], false);
  const answer = await visitor.answer(120_000);
  visitor.leave();
  expect([answer.bodyBytes, answer.ended]).toEqual([mebibytes * MiB, "complete"]);
  return mebibytes / ((performance.now() - at) / 1000);
}

describe.runIf(procfs)("a visitor who stops reading 1 GiB", () => {
  test("costs edge and agent less than 16 MiB each, and small requests nothing", async ({
    annotate,
  }) => {
    // Before anything is measured both ends have grown to what busy ends are.
    await downloadSpeed(256);
    const idleMs = await smallRequestMs(300);
    const edge = new PeakMemory(tunnel.edge.workerdPid);
    const agent = new PeakMemory(tunnel.agent.pid);

    await stall(1);
    const besideMs = await smallRequestMs(300);
    const grown = { edge: edge.stop(), agent: agent.stop() };
    await annotate(
      `small request: ${idleMs.toFixed(2)} ms idle, ${besideMs.toFixed(2)} ms beside; grown by ${JSON.stringify(grown)} MiB`,
    );

    expect(grown.edge).toBeLessThan(16);
    expect(grown.agent).toBeLessThan(16);
    expect(besideMs).toBeLessThan(2 * idleMs + 2);
  }, 120_000);
});

describe.runIf(procfs)("500 visitors who stop reading", () => {
  test("cost the edge less than 160 MiB, and a fast download beside them goes on", async ({
    annotate,
  }) => {
    const alone = await downloadSpeed(512);
    const edge = new PeakMemory(tunnel.edge.workerdPid);
    const agent = new PeakMemory(tunnel.agent.pid);

    await stall(500);
    const held = edge.growth;
    const beside = await downloadSpeed(512);
    const smallMs = await smallRequestMs(100);
    const grown = { edge: edge.stop(), agent: agent.stop() };
    await annotate(
      `download: ${alone.toFixed(0)} MiB/s alone, ${beside.toFixed(0)} MiB/s beside (${(beside / alone).toFixed(2)}); ` +
        `small request: ${smallMs.toFixed(2)} ms; edge grown by ${held.toFixed(0)} MiB, then ${grown.edge.toFixed(0)}; agent by ${grown.agent.toFixed(0)}`,
    );

    expect(grown.edge).toBeLessThan(160);
    expect(grown.agent).toBeLessThan(160);
    expect(beside).toBeGreaterThan(0);
  }, 300_000);
});
