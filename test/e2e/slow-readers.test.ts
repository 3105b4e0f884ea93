/**
 * Visitors who stop reading: they hold up nobody, and what Sluice keeps for them stays small.
 *
 * 500 of them on the loopback fill the kernel as well: 4 MiB of send buffer each is more than `net.ipv4.tcp_mem` grants
 * on most machines, and then the kernel drops segments of every connection, the tunnel's own included. Memory is
 * bounded at 500, therefore, but speed at 100; what it was at 500 is told, and whether the kernel was the limit.
 */
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import type { Received } from "../support/origin.ts";
import { PeakMemory, procfs } from "../support/memory.ts";
import { Visitor } from "../support/raw-http.ts";
import { poll } from "../support/until.ts";
import { type Tunnel, useTunnel } from "../support/use-tunnel.ts";

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

const stalled: { readonly visitor: Visitor; readonly received: Received }[] = [];
afterEach(async () => {
  await Promise.all(
    stalled.splice(0).map(async ({ visitor, received }) => {
      visitor.reset();
      await received.gone();
    }),
  );
});

/** So many visitors more who ask for 1 GiB, read its head, and then nothing. */
async function stall({ origin, through }: Tunnel, count: number): Promise<void> {
  origin.on("/large", (received) => pour(received, 1024 * MiB));
  const from = origin.log.length;
  const visitors = await Promise.all(
    Array.from({ length: count }, async () => Visitor.connect(through)),
  );
  await Promise.all(
    visitors.map(async (visitor) => {
      visitor.begin("GET", "/large", [], false);
      await visitor.head(60_000);
      visitor.socket.pause();
    }),
  );
  const asked = origin.log.slice(from);
  // Which visitor is whose request does not matter: they all leave together.
  visitors.forEach((visitor, i) => {
    const received = asked[i];
    if (received !== undefined) stalled.push({ visitor, received });
  });
  // Every buffer on the way is full when the origin can write no more, for as long as a lost segment takes and longer.
  let before = -1;
  let stillFor = 0;
  await poll(
    () => {
      let written = 0;
      for (const { response } of asked) written += response.socket?.bytesWritten ?? 0;
      stillFor = written === before ? stillFor + 1 : 0;
      before = written;
      return stillFor === 3;
    },
    "the origin being held back",
    120_000,
    500,
  );
}

/** The median time of small requests, one after the other on one connection, in milliseconds. */
async function smallRequestMs({ through }: Tunnel, count: number): Promise<number> {
  const visitor = await Visitor.connect(through);
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

/** The speed of one download of 512 MiB, or of as much of it as comes in five seconds, in MiB a second. */
async function downloadSpeed({ origin, through }: Tunnel): Promise<number> {
  origin.on("/fast", (received) => pour(received, 512 * MiB));
  const visitor = await Visitor.connect(through);
  const at = performance.now();
  visitor.begin("GET", "/fast", [], false);
  await poll(
    () => visitor.bodyBytes === 512 * MiB || performance.now() - at > 5000,
    "the time being over",
  );
  const seconds = (performance.now() - at) / 1000;
  const mebibytes = visitor.bodyBytes / MiB;
  visitor.reset();
  return mebibytes / seconds;
}

/** Measures again when it was not good: what else this machine does spoils one time and not all, a visitor who holds others up does. */
async function atLeastOnce(
  isGood: (measured: number) => boolean,
  measure: () => Promise<number>,
): Promise<number> {
  let measured = await measure();
  for (let again = 0; again < 3 && !isGood(measured); again++) measured = await measure();
  return measured;
}

/** Whether the kernel's memory for TCP is above the mark from which on it refuses more (tcp(7), `tcp_mem`). */
function kernelIsFull(): boolean {
  const [, pressurePages] = readFileSync("/proc/sys/net/ipv4/tcp_mem", "utf8").split("\t");
  const pages = /^TCP: .* mem (\d+)$/m.exec(readFileSync("/proc/net/sockstat", "utf8"))?.[1];
  return Number(pages) >= Number(pressurePages);
}

const whole = (value: number): string => value.toFixed(0);

describe.runIf(procfs)("a visitor who stops reading 1 GiB", () => {
  const tunnel = useTunnel();

  test("costs edge and agent less than 16 MiB each, and small requests nothing", async ({
    annotate,
  }) => {
    // Before anything is measured both ends have grown to what busy ends are.
    await downloadSpeed(tunnel);
    const idleMs = await smallRequestMs(tunnel, 300);
    const edge = new PeakMemory(tunnel.edge.workerdPid);
    const agent = new PeakMemory(tunnel.agent.pid);

    await stall(tunnel, 1);
    const isGood = (ms: number): boolean => ms < 2 * idleMs + 2;
    const besideMs = await atLeastOnce(isGood, () => smallRequestMs(tunnel, 300));
    const grown = { edge: edge.stop(), agent: agent.stop() };
    await annotate(
      `small request: ${idleMs.toFixed(2)} ms idle, ${besideMs.toFixed(2)} ms beside; ` +
        `edge grown by ${whole(grown.edge)} MiB, agent by ${whole(grown.agent)}`,
    );

    expect(grown.edge).toBeLessThan(16);
    expect(grown.agent).toBeLessThan(16);
    expect(besideMs).toSatisfy(isGood);
  }, 120_000);
});

describe.runIf(procfs)("100 visitors who stop reading", () => {
  const tunnel = useTunnel({ agent: ["--concurrency", "1024"] });

  test("leave a fast download more than half of its speed", async ({ annotate }) => {
    await downloadSpeed(tunnel);
    const alone = await downloadSpeed(tunnel);
    await stall(tunnel, 100);
    const isGood = (speed: number): boolean => speed > alone / 2;
    const beside = await atLeastOnce(isGood, () => downloadSpeed(tunnel));
    await annotate(`download: ${whole(alone)} MiB/s alone, ${whole(beside)} MiB/s beside`);

    expect(beside).toSatisfy(isGood);
  }, 120_000);
});

describe.runIf(procfs)("500 visitors who stop reading", () => {
  const tunnel = useTunnel({ agent: ["--concurrency", "1024"] });

  test("cost an edge that has just started less than 160 MiB", async ({ annotate }) => {
    await smallRequestMs(tunnel, 10);
    const edge = new PeakMemory(tunnel.edge.workerdPid);
    const agent = new PeakMemory(tunnel.agent.pid);
    await stall(tunnel, 250);
    const half = edge.growth;
    await stall(tunnel, 250);
    const grown = { edge: edge.stop(), agent: agent.stop() };
    const beside = await downloadSpeed(tunnel);
    await annotate(
      `edge grown by ${whole(half)} MiB for 250, ${whole(grown.edge)} for all, agent by ${whole(grown.agent)}; ` +
        `download beside: ${whole(beside)} MiB/s${kernelIsFull() ? ", but the kernel's memory for TCP is full" : ""}`,
    );

    // Where the kernel is full the second half holds little: the bound that shows a fault is the one of the first.
    expect(half).toBeLessThan(120);
    expect(grown.edge).toBeLessThan(160);
    // A read of the origin's socket and a full queue each, and garbage.
    expect(grown.agent).toBeLessThan(256);
  }, 180_000);
});
