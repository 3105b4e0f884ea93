import { spawn } from "node:child_process";
import { once } from "node:events";
import { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { BatchedSink, MOST_UNREAD_BYTES } from "../../agent/terminal/batched-sink.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function sink(): { sink: BatchedSink; written: string[] } {
  const written: string[] = [];
  return { sink: new BatchedSink({ write: (piece) => written.push(piece) }, () => {}), written };
}

test("the first line after a quiet moment is written at once", () => {
  const { sink: out, written } = sink();
  out.write("a\n");
  expect(written).toEqual(["a\n"]);
  vi.advanceTimersByTime(1000);
  out.write("b\n");
  expect(written).toEqual(["a\n", "b\n"]);
});

test("lines that come within a moment are written together, in order", () => {
  const { sink: out, written } = sink();
  for (const line of ["a\n", "b\n", "c\n"]) out.write(line);
  vi.advanceTimersByTime(20);
  expect(written).toEqual(["a\n", "b\nc\n"]);
  out.write("d\n");
  expect(written).toHaveLength(2);
  vi.advanceTimersByTime(20);
  expect(written).toEqual(["a\n", "b\nc\n", "d\n"]);
});

test("what has not been written when the process ends is written then", () => {
  const exits = process.listeners("exit");
  const { sink: out, written } = sink();
  out.write("a\n");
  out.write("b\n");
  const [ours] = process.listeners("exit").filter((listener) => !exits.includes(listener));
  ours?.(0);
  expect(written).toEqual(["a\n", "b\n"]);
});

test("it is a terminal if what it writes to is one", () => {
  const write = (): void => {};
  expect(new BatchedSink({ write }, () => {}).isTTY).toBe(false);
  expect(new BatchedSink({ write, isTTY: true }, () => {}).isTTY).toBe(true);
});

describe("a reader that stalls", () => {
  const LINE = `${"x".repeat(1023)}\n`;
  const FIT = MOST_UNREAD_BYTES / LINE.length;

  /** A stream whose reader takes nothing until it is told to, and then everything. */
  function stalled() {
    let taken = "";
    let takes: (() => void) | undefined;
    let reading = false;
    const target = new Writable({
      write(chunk: Buffer, _encoding, done) {
        taken += chunk.toString();
        if (reading) done();
        else takes = done;
      },
    });
    const out: BatchedSink = new BatchedSink(target, (lines) => out.write(`${lines} dropped\n`));
    return {
      out,
      target,
      /** @returns all that it was given */
      read: async (): Promise<string> => {
        reading = true;
        takes?.();
        takes = undefined;
        vi.advanceTimersByTime(1000);
        await new Promise(setImmediate);
        return taken;
      },
    };
  }

  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));

  test("gets every line when there was room for all", async () => {
    const { out, target, read } = stalled();
    for (let n = 0; n < FIT; n++) out.write(LINE);
    vi.advanceTimersByTime(1000);
    expect(target.writableLength).toBe(MOST_UNREAD_BYTES);
    expect(await read()).toBe(LINE.repeat(FIT));
  });

  test("is told once how many lines it missed, where they are missing, and then gets what comes", async () => {
    const { out, target, read } = stalled();
    for (let n = 0; n < FIT + 3; n++) {
      out.write(LINE);
      vi.advanceTimersByTime(20);
    }
    out.write("two\nlines\n");
    vi.advanceTimersByTime(1000);
    expect(target.writableLength).toBe(MOST_UNREAD_BYTES);
    expect(await read()).toBe(`${LINE.repeat(FIT)}5 dropped\n`);
    out.write("new\n");
    expect(await read()).toBe(`${LINE.repeat(FIT)}5 dropped\nnew\n`);
  });

  test("and one that writes at once loses nothing, however much comes in a moment", () => {
    const { sink: out, written } = sink();
    for (let n = 0; n < 3 * FIT; n++) out.write(LINE);
    vi.advanceTimersByTime(20);
    expect(written.join("")).toBe(LINE.repeat(3 * FIT));
  });
});

test.each([
  ["--json", "stdout", { json: { text: "yes", from: "--json", flag: true } }],
  ["plain lines", "stderr", {}],
  ["--log-format logfmt", "stderr", { logFormat: { text: "logfmt", from: "", flag: true } }],
] as const)("a pipe that nobody reads: %s", async (_name, stream, given) => {
  vi.useRealTimers();
  const EVENTS = 30_000;
  const script = `
    import { openLog } from ${JSON.stringify(new URL("../../agent/terminal/open-log.ts", import.meta.url).href)};
    const { log } = openLog(${JSON.stringify(given)}, true);
    const event = { event: "request", id: "r", method: "GET", path: "/" + "x".repeat(100), status: 200, ms: 1, bytesIn: 0, bytesOut: 0, outcome: "ok" };
    const some = (sent) => {
      for (let n = 0; n < 100; n++) log.event({ ...event, id: String(sent + n) });
      if (sent + 100 < ${EVENTS}) setImmediate(some, sent + 100);
      else process.send(process.${stream}.writableLength);
    };
    some(0);
    process.once("message", () => process.disconnect());
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [unread] = (await once(child, "message")) as [number];
  expect(unread).toBeGreaterThan(MOST_UNREAD_BYTES / 2);
  expect(unread).toBeLessThanOrEqual(MOST_UNREAD_BYTES);
  const exited = once(child, "exit");
  const said = {
    stdout: text(child.stdout ?? Readable.from([])),
    stderr: text(child.stderr ?? Readable.from([])),
  };
  child.send("go on");
  await exited;
  const lines = (await said[stream]).trimEnd().split("\n");
  const dropped = Number(/(\d+) lines were dropped/.exec(lines.at(-1) ?? "")?.[1]);
  expect(lines.at(-1)).toContain("lines-dropped");
  expect(lines.length - 1 + dropped).toBe(EVENTS);
});
