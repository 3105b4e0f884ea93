import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Capture } from "../../../agent/inspector/capture.ts";
import { KeptBody, MOST_BODY_BYTES } from "../../../agent/inspector/kept-body.ts";
import { Lines } from "../../../agent/inspector/lines.ts";
import type { Recording } from "../../../agent/inspector/recording.ts";
import { Slab } from "../../../agent/inspector/slab.ts";
import type { ExchangeWatch } from "../../../agent/watch.ts";
import { answerHead, endWell, opened } from "./seen.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** What is used of memory, without what nobody holds. */
function usedBytes(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function only(capture: Capture): Recording {
  const [recording] = capture.newest();
  if (recording === undefined) throw new Error("nothing was kept");
  return recording;
}

test("of a body the beginning is kept, and how long it was is said", () => {
  const capture = new Capture();
  const watch = opened(capture.of("shop"));
  watch.answered?.(answerHead("text/plain"));
  for (let i = 0; i < 50; i++) watch.sent?.(Buffer.alloc(4096, i));
  endWell(watch);
  const { bytes, keptBytes, whole } = only(capture).responseInfo();
  expect({ bytes, keptBytes, whole }).toEqual({
    bytes: 50 * 4096,
    keptBytes: MOST_BODY_BYTES,
    whole: false,
  });
  const expected = Buffer.concat(Array.from({ length: 16 }, (_, i) => Buffer.alloc(4096, i)));
  expect(only(capture).responseBody.read().equals(expected)).toBe(true);
});

test("a body that comes byte by byte takes little more than its bytes", () => {
  const slab = new Slab();
  const before = usedBytes();
  const bodies = Array.from({ length: 10 }, () => {
    const body = new KeptBody();
    for (let i = 0; i < MOST_BODY_BYTES; i++) body.add(Uint8Array.of(i), slab);
    return body;
  });
  // It was a hundred times as much; what is swept later is still counted.
  expect(usedBytes() - before).toBeLessThan(32 * 10 * MOST_BODY_BYTES);
  for (const body of bodies) {
    expect(body.keptBytes).toBe(MOST_BODY_BYTES);
    expect(body.read().every((byte, i) => byte === i % 256)).toBe(true);
  }
});

test("half a line that comes byte by byte takes little more than its bytes", () => {
  const before = usedBytes();
  const all = Array.from({ length: 50 }, () => {
    const lines = new Lines({ mostBytes: 4096, byCr: true });
    for (let i = 0; i < 4096; i++) lines.read(Buffer.from("a"), () => {});
    return lines;
  });
  expect(usedBytes() - before).toBeLessThan(8 * 50 * 4096);
  for (const lines of all) expect(lines.rest()?.text).toBe("a".repeat(4096));
});

test("bytes that were lent are copied", () => {
  const capture = new Capture();
  const watch = opened(capture.of("shop"), { method: "POST", length: 5 });
  for (const size of [5, 5000]) {
    const lent = Buffer.alloc(size, "a");
    watch.received?.(lent);
    lent.fill("b");
  }
  expect(only(capture).requestBody.read().toString()).toMatch(/^a+$/);
});

test("a second try at the origin begins its body again", () => {
  const capture = new Capture();
  const watch = opened(capture.of("shop"), { method: "POST", length: 3 });
  watch.received?.(Buffer.from("one"));
  watch.connected?.();
  watch.received?.(Buffer.from("one"));
  expect(only(capture).requestBody.read().toString()).toBe("one");
  expect(only(capture).requestInfo()).toMatchObject({ bytes: 3, keptBytes: 3, whole: true });
});

test("the oldest goes first, and what is over before what is under way", () => {
  const capture = new Capture({ mostExchanges: 3 });
  const watch = capture.of("shop");
  const first = opened(watch, { path: "/open" });
  for (const path of ["/1", "/2", "/3"]) endWell(opened(watch, { path }));
  expect(capture.newest().map(({ request }) => request.path)).toEqual(["/3", "/2", "/open"]);
  endWell(first);
  endWell(opened(watch, { path: "/4" }));
  expect(capture.newest().map(({ request }) => request.path)).toEqual(["/4", "/3", "/2"]);
  expect(capture.seen).toBe(5);
});

test("when memory runs short, streams that are under way lose what was kept of them, and are still counted", () => {
  const capture = new Capture({ mostBytes: 300_000 });
  const watch = capture.of("shop");
  const streams = Array.from({ length: 8 }, () => {
    const stream = opened(watch);
    stream.answered?.(answerHead("video/mp4"));
    stream.sent?.(Buffer.alloc(60_000));
    return stream;
  });
  expect(capture.bytes).toBeLessThanOrEqual(300_000);
  expect(capture.size).toBe(8);
  const oldest = capture.newest().at(-1);
  expect(oldest).toMatchObject({ dropped: true });
  streams[0]?.sent?.(Buffer.alloc(60_000));
  expect(oldest?.row().bytesOut).toBe(120_000);
  expect(oldest?.responseInfo()).toMatchObject({ bytes: 120_000, keptBytes: 0, whole: false });
  expect(oldest?.stream(0, 0).note).toContain("memory ran short");
});

test("clearing forgets what is over and keeps what is under way, until it is cleared again", () => {
  const capture = new Capture();
  endWell(opened(capture.of("shop"), { path: "/over" }));
  const watch = opened(capture.of("shop"), { path: "/open" });
  watch.answered?.(answerHead("text/event-stream"));
  watch.sent?.(Buffer.from("data: 1\n\n"));
  capture.clear();
  expect(only(capture).request.path).toBe("/open");
  watch.sent?.(Buffer.from("data: 2\n\n"));
  expect(
    only(capture)
      .messages()
      .map(({ text }) => text),
  ).toEqual(["1", "2"]);
  endWell(watch);
  capture.clear();
  expect([capture.size, capture.bytes, capture.open]).toEqual([0, 0, 0]);
});

test("a stream that is forgotten while it runs, because too many do, gives everything back and takes nothing more", () => {
  const capture = new Capture({ mostExchanges: 1 });
  const watch = opened(capture.of("shop"));
  watch.answered?.(answerHead("text/event-stream"));
  watch.sent?.(Buffer.from("data: 1\n\n"));
  endWell(opened(capture.of("shop")));
  const newer = opened(capture.of("shop"));
  const held = opened(capture.of("shop"));
  const before = capture.bytes;
  watch.sent?.(Buffer.from("data: 2\n\n"));
  watch.trailers?.(["a", "b"]);
  expect(capture.bytes).toBe(before);
  for (const each of [watch, newer, held]) endWell(each);
  capture.clear();
  expect([capture.size, capture.bytes, capture.open]).toEqual([0, 0, 0]);
});

test("how long the origin was held back is told, also while it is", () => {
  const capture = new Capture();
  const watch = opened(capture.of("shop"));
  watch.answered?.(answerHead("video/mp4"));
  watch.sent?.(Buffer.alloc(10));
  watch.sent?.(Buffer.alloc(10));
  watch.stalled?.();
  const recording = only(capture);
  expect(recording.row()).toMatchObject({ stalled: true, phase: "answering" });
  const until = performance.now() + 3;
  while (performance.now() < until);
  const flow = recording.stream(0, 0).flow;
  expect(flow?.stalledMs.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThanOrEqual(2.9);
  watch.resumed?.();
  expect(recording.timing()).toMatchObject({ stalls: 1 });
  expect(recording.timing().stalledMs).toBeGreaterThanOrEqual(2.9);
  expect(recording.row().stalled).toBe(false);
});

test("nobody is told of changes while nobody looks, and everybody who does", () => {
  const capture = new Capture();
  const watch = capture.of("shop");
  endWell(opened(watch));
  const told: number[] = [];
  capture.onChange = ({ id }) => told.push(id);
  endWell(opened(watch));
  expect(new Set(told)).toEqual(new Set([2]));
});

type Step = readonly [stream: number, what: "open" | "sent" | "received" | "end", bytes: number];

describe("whatever passes", () => {
  const step = fc.tuple(
    fc.nat(15),
    fc.constantFrom("open" as const, "sent" as const, "received" as const, "end" as const),
    fc.nat(70_000),
  );
  const types = ["text/plain", "text/event-stream", "application/x-ndjson"];

  test("memory and count stay within their bounds, and nothing is leaked", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps: readonly Step[]) => {
        const mostBytes = 400_000;
        const capture = new Capture({ mostExchanges: 10, mostBytes });
        const watch = capture.of("shop");
        const open = new Map<number, ExchangeWatch>();
        for (const [stream, what, bytes] of steps) {
          const one = open.get(stream);
          if (what === "open" && one === undefined) {
            const fresh = opened(watch, { method: "POST", headers: ["x", "y".repeat(bytes / 10)] });
            fresh.answered?.(answerHead(types[stream % 3] ?? ""));
            open.set(stream, fresh);
          } else if (what === "sent") one?.sent?.(Buffer.alloc(bytes, "data: tea\n\n"));
          else if (what === "received") one?.received?.(Buffer.alloc(bytes, 7));
          else if (what === "end" && one !== undefined) {
            endWell(one);
            open.delete(stream);
          }
          const kept = capture.newest();
          expect(kept.length).toBeLessThanOrEqual(10);
          expect(capture.bytes).toBeLessThanOrEqual(mostBytes);
          expect(kept.reduce((sum, each) => sum + each.bytes, 0)).toBe(capture.bytes);
        }
        expect(capture.open).toBe(open.size);
        capture.clear();
        for (const { phase } of capture.newest()) expect(phase).not.toBe("over");
        for (const each of open.values()) endWell(each);
        capture.clear();
        expect(capture.bytes).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
