/** A direction of a path, in virtual time: when each byte comes out, and what its sender and its receiver notice. */
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Line, type LineOptions } from "../../bench/site/line.ts";

/** Timers are of whole milliseconds, and may be one late. */
const TOLERANCE_MS = 1.5;

const KiB = 1024;

/** What a line needs of a socket, without a network. */
class Ending extends EventEmitter {
  readonly taken: { atMs: number; bytes: Buffer }[] = [];
  /** Whether it takes what is written, or says that it is full. */
  takes = true;
  paused = false;
  ended = false;
  reset = false;

  write(bytes: Buffer): boolean {
    this.taken.push({ atMs: performance.now(), bytes });
    return this.takes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }

  resetAndDestroy(): void {
    this.reset = true;
  }

  get takenBytes(): number {
    return this.taken.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }
}

function lineOf(options: LineOptions): { from: Ending; to: Ending; seen: Buffer[] } {
  const [from, to, seen] = [new Ending(), new Ending(), [] as Buffer[]];
  // oxlint-disable-next-line no-new -- a line lives by its sockets' events
  new Line(from as unknown as Socket, to as unknown as Socket, options, (chunk) =>
    seen.push(chunk),
  );
  return { from, to, seen };
}

/** Sends as a socket does: not while it is paused. */
async function sendAll(from: Ending, bytes: Buffer, pieceBytes: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    if (from.paused) {
      await vi.advanceTimersByTimeAsync(1);
      continue;
    }
    from.emit("data", bytes.subarray(at, at + pieceBytes));
    at += pieceBytes;
  }
}

function pattern(bytes: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: bytes }, (_, at) => (at * 7 + (at >> 8)) & 0xff));
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a line with neither delay nor rate", () => {
  test("passes each chunk on at once, as it is", () => {
    const { from, to, seen } = lineOf({ delayMs: 0, bytesPerMs: 0 });
    const chunk = pattern(100);
    from.emit("data", chunk);
    expect(to.taken).toEqual([{ atMs: performance.now(), bytes: chunk }]);
    expect(seen).toEqual([chunk]);
  });

  test("holds its sender up while its receiver is full", () => {
    const { from, to } = lineOf({ delayMs: 0, bytesPerMs: 0 });
    to.takes = false;
    from.emit("data", pattern(100));
    expect(from.paused).toBe(true);
    to.takes = true;
    to.emit("drain");
    expect(from.paused).toBe(false);
  });
});

describe("a line with a delay", () => {
  test("lets each chunk out one delay after it came in, in order", async () => {
    const { from, to } = lineOf({ delayMs: 25, bytesPerMs: 0 });
    const begin = performance.now();
    for (const [at, wait] of [3, 0, 10, 40].entries()) {
      from.emit("data", Buffer.from([at]));
      await vi.advanceTimersByTimeAsync(wait);
    }
    await vi.runAllTimersAsync();
    const due = [25, 28, 28, 38].map((ms) => begin + ms);
    expect(to.taken.map(({ bytes }) => bytes[0])).toEqual([0, 1, 2, 3]);
    for (const [index, { atMs }] of to.taken.entries()) {
      const late = atMs - (due[index] ?? Number.NaN);
      expect(late).toBeGreaterThan(-0.5);
      expect(late).toBeLessThan(TOLERANCE_MS);
    }
  });

  test("is not a rate: what came in at once goes out at once", async () => {
    const { from, to } = lineOf({ delayMs: 75, bytesPerMs: 0 });
    const chunk = pattern(64 * KiB);
    for (let index = 0; index < 500; index++) from.emit("data", chunk);
    await vi.runAllTimersAsync();
    expect(to.takenBytes).toBe(500 * chunk.length);
    const times = to.taken.map(({ atMs }) => atMs);
    expect(Math.max(...times) - Math.min(...times)).toBe(0);
  });

  test("holds a megabyte for a receiver that is full, then holds its sender up, and loses nothing", async () => {
    const { from, to } = lineOf({ delayMs: 10, bytesPerMs: 0 });
    to.takes = false;
    const bytes = pattern(3 * 1024 * KiB);
    const pieces = 64 * KiB;
    let sent = 0;
    from.emit("data", bytes.subarray(0, (sent = pieces)));
    await vi.advanceTimersByTimeAsync(20);
    while (!from.paused && sent < bytes.length) {
      from.emit("data", bytes.subarray(sent, (sent += pieces)));
    }
    expect(sent).toBeGreaterThan(1024 * KiB);
    expect(sent).toBeLessThan(1024 * KiB + 3 * pieces);
    await vi.advanceTimersByTimeAsync(1000);
    expect([from.paused, to.takenBytes]).toEqual([true, pieces]);
    to.takes = true;
    to.emit("drain");
    expect(from.paused).toBe(false);
    await sendAll(from, bytes.subarray(sent), pieces);
    await vi.runAllTimersAsync();
    expect(Buffer.concat(to.taken.map((one) => one.bytes)).equals(bytes)).toBe(true);
  });
});

describe("a line with a rate", () => {
  // 20 Mbit/s, and half of 50 ms.
  const options = { delayMs: 25, bytesPerMs: 2500 };

  test("takes as long as its rate says, and neither loses nor reorders a byte", async () => {
    const { from, to } = lineOf(options);
    const bytes = pattern(500 * KiB);
    const begin = performance.now();
    await sendAll(from, bytes, 48 * KiB);
    await vi.runAllTimersAsync();
    expect(Buffer.concat(to.taken.map((one) => one.bytes)).equals(bytes)).toBe(true);
    const tookMs = (to.taken.at(-1)?.atMs ?? Number.NaN) - begin;
    const rightMs = bytes.length / options.bytesPerMs + options.delayMs;
    expect(Math.abs(tookMs - rightMs)).toBeLessThan(TOLERANCE_MS);
  });

  test("never lets more out than it could have carried by then", async () => {
    const { from, to } = lineOf(options);
    const begin = performance.now();
    await sendAll(from, pattern(300 * KiB), 64 * KiB);
    await vi.runAllTimersAsync();
    let bytes = 0;
    for (const { atMs, bytes: piece } of to.taken) {
      bytes += piece.length;
      const couldMs = atMs - begin - options.delayMs + 0.5;
      expect(bytes).toBeLessThanOrEqual(couldMs * options.bytesPerMs);
    }
  });

  test("has no use for the time when nothing was sent", async () => {
    const { from, to } = lineOf(options);
    await vi.advanceTimersByTimeAsync(5000);
    const begin = performance.now();
    await sendAll(from, pattern(100 * KiB), 16 * KiB);
    await vi.runAllTimersAsync();
    const tookMs = (to.taken.at(-1)?.atMs ?? Number.NaN) - begin;
    expect(tookMs).toBeGreaterThan((100 * KiB) / options.bytesPerMs + options.delayMs - 0.5);
  });

  test("holds its sender up when 10 ms are ahead of it, and asks again before it runs dry", async () => {
    const { from, to } = lineOf(options);
    from.emit("data", pattern(20 * KiB));
    expect(from.paused).toBe(false);
    from.emit("data", pattern(20 * KiB));
    expect(from.paused).toBe(true);
    const dryMs = (40 * KiB) / options.bytesPerMs;
    await vi.advanceTimersByTimeAsync(dryMs - 1);
    expect(from.paused).toBe(false);
    expect(to.taken).toEqual([]);
  });
});

describe("the end of one direction", () => {
  test("comes out behind the last byte that was sent before it", async () => {
    const { from, to } = lineOf({ delayMs: 30, bytesPerMs: 0 });
    from.emit("data", pattern(10));
    from.emit("end");
    await vi.advanceTimersByTimeAsync(25);
    expect([to.takenBytes, to.ended]).toEqual([0, false]);
    await vi.runAllTimersAsync();
    expect([to.takenBytes, to.ended]).toEqual([10, true]);
  });

  test("passes at once where nothing is under way", () => {
    const { from, to } = lineOf({ delayMs: 0, bytesPerMs: 0 });
    from.emit("end");
    expect(to.ended).toBe(true);
  });

  test("does not take back what is under way when the sender closes well", async () => {
    const { from, to } = lineOf({ delayMs: 30, bytesPerMs: 0 });
    from.emit("data", pattern(10));
    from.emit("end");
    from.emit("close", false);
    await vi.runAllTimersAsync();
    expect([to.takenBytes, to.ended, to.reset]).toEqual([10, true, false]);
  });

  test("is a cut when the sender's connection broke", async () => {
    const { from, to } = lineOf({ delayMs: 30, bytesPerMs: 0 });
    from.emit("data", pattern(10));
    from.emit("error", new Error("reset"));
    from.emit("close", true);
    await vi.runAllTimersAsync();
    expect([to.takenBytes, to.ended, to.reset]).toEqual([0, false, true]);
  });
});
