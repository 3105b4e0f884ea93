import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Capture } from "../../../agent/inspector/capture.ts";
import { ChunkLog } from "../../../agent/inspector/chunk-log.ts";
import { FlowLog } from "../../../agent/inspector/flow.ts";
import { Lines } from "../../../agent/inspector/lines.ts";
import { MessageLog, MOST_TEXT_BYTES, type Said } from "../../../agent/inspector/message-log.ts";
import { ServerSentEvents } from "../../../agent/inspector/server-sent-events.ts";
import { WebSocketMessages } from "../../../agent/inspector/websocket-messages.ts";
import { answerHead, opened } from "./seen.ts";

/** Feeds bytes in pieces, cut wherever `cuts` say. */
function inPieces(bytes: Buffer, cuts: readonly number[], feed: (piece: Buffer) => void): void {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const place of [...places, bytes.length]) {
    feed(bytes.subarray(from, place));
    from = place;
  }
}

const cuts = fc.array(fc.nat(), { maxLength: 30 });
const line = fc
  .string({ unit: "grapheme", maxLength: 40 })
  .map((text) => text.replaceAll(/[\r\n\0]/g, ""));

describe("an event stream", () => {
  const parse = (text: string, at: readonly number[] = []): Said[] => {
    const events = new ServerSentEvents();
    const all: Said[] = [];
    inPieces(Buffer.from(text), at, (piece) => events.read(piece, (said) => all.push(said)));
    return all;
  };

  test("is read as the HTML standard says", () => {
    expect(
      parse(
        ": hello\n\nevent: add\r\nid: 7\rdata: one\ndata:two\ndata\n\nretry: 5\nid\n\ndata: last\n\ndata: lost",
      ),
    ).toEqual([
      { kind: "comment", bytes: 5, text: "hello", cut: false },
      { kind: "event", bytes: 8, text: "one\ntwo\n", cut: false, label: "add #7" },
      { kind: "event", bytes: 4, text: "last", cut: false, label: "message" },
    ]);
  });

  test("says the same wherever it is cut, and whatever ends its lines", () => {
    const event = fc.record({
      type: fc.stringMatching(/^[a-z]{1,8}$/),
      lines: fc.array(line, { minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 8 }),
        cuts,
        fc.constantFrom("\n", "\r\n", "\r"),
        (events, at, eol) => {
          const text = events
            .map(({ type, lines }) =>
              [`event: ${type}`, ...lines.map((each) => `data: ${each}`), "", ""].join(eol),
            )
            .join("");
          const said = parse(text, at);
          expect(said.map(({ text: data, label }) => [label, data])).toEqual(
            events.map(({ type, lines }) => [type, lines.join("\n")]),
          );
        },
      ),
    );
  });

  test("is counted in bytes, not in characters, and without a byte order mark", () => {
    expect(parse("\ufeffdata: grün\ndata: 茶\n\n: 茶\n")).toEqual([
      { kind: "event", bytes: 9, text: "grün\n茶", cut: false, label: "message" },
      { kind: "comment", bytes: 3, text: "茶", cut: false },
    ]);
  });

  test("of an event so many bytes are kept, and no half of a character", () => {
    const some = "茶".repeat(700);
    const [whole] = parse(`data: ${some.slice(0, -36)}\ndata: ${some.slice(0, 700)}\n\n`);
    expect(whole).toMatchObject({ cut: false, bytes: 3 * 664 + 1 + 3 * 700 });
    const [cut] = parse(`data: x${some}\ndata: ${some}\n\n`);
    expect(cut).toMatchObject({ cut: true, bytes: 2 * 2100 + 2 });
    expect(Buffer.byteLength(cut?.text ?? "")).toBe(MOST_TEXT_BYTES - 2);
    expect(cut?.text).not.toContain("\ufffd");
  });

  test("an event that never ends takes no memory", () => {
    const events = new ServerSentEvents();
    const all: Said[] = [];
    const read = (text: string): void => events.read(Buffer.from(text), (said) => all.push(said));
    for (let i = 0; i < 500; i++) read(i % 2 === 0 ? `data: ${"x".repeat(1000)}` : "y\n");
    read("\n\n");
    expect(all).toHaveLength(1);
    expect(all[0]?.cut).toBe(true);
    expect(all[0]?.text.length).toBeLessThanOrEqual(MOST_TEXT_BYTES + 500);
    expect(all[0]?.bytes).toBe(250 * 1001 + 249);
  });
});

test("lines are the same wherever they are cut, and a long one is cut short", () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), cuts, (texts, at) => {
      const lines = new Lines({ mostBytes: 20, byCr: false });
      const said: { text: string; bytes: number; cut: boolean }[] = [];
      inPieces(Buffer.from(texts.map((text) => `${text}\n`).join("")), at, (piece) =>
        lines.read(piece, (each) => said.push(each)),
      );
      expect(said.map(({ bytes }) => bytes)).toEqual(texts.map((text) => Buffer.byteLength(text)));
      texts.forEach((text, i) => {
        expect(said[i]?.cut).toBe(Buffer.byteLength(text) > 20);
        if (!said[i]?.cut) expect(said[i]?.text).toBe(text);
      });
      expect(lines.rest()).toBeUndefined();
    }),
  );
});

describe("a WebSocket", () => {
  interface Message {
    readonly opcode: number;
    readonly payload: Uint8Array;
    readonly fragments: number;
    readonly mask: Uint8Array | undefined;
    readonly ping: boolean;
  }

  /** A frame as RFC 6455 section 5.2 has it. */
  function frame(final: boolean, opcode: number, payload: Uint8Array, mask?: Uint8Array): Buffer {
    const { length } = payload;
    const header =
      length < 126
        ? Buffer.from([0, length])
        : length < 65_536
          ? Buffer.from([0, 126, length >> 8, length & 255])
          : Buffer.from([0, 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255]);
    header[0] = (final ? 0x80 : 0) | opcode;
    if (mask === undefined) return Buffer.concat([header, payload]);
    header[1] = (header[1] ?? 0) | 0x80;
    const masked = payload.map((byte, i) => byte ^ (mask[i & 3] ?? 0));
    return Buffer.concat([header, mask, masked]);
  }

  function framesOf({ opcode, payload, fragments, mask, ping }: Message): Buffer {
    const size = Math.max(1, Math.ceil(payload.length / fragments));
    const frames: Buffer[] = [];
    for (let at = 0; at === 0 || at < payload.length; at += size) {
      const piece = payload.subarray(at, at + size);
      frames.push(frame(at + size >= payload.length, at === 0 ? opcode : 0, piece, mask));
      if (ping) frames.push(frame(true, 9, Buffer.from("?"), mask));
    }
    return Buffer.concat(frames);
  }

  const parse = (bytes: Buffer, at: readonly number[] = []): { said: Said[]; fault: string } => {
    const socket = new WebSocketMessages();
    const said: Said[] = [];
    inPieces(bytes, at, (piece) => socket.read(piece, (each) => said.push(each)));
    return { said, fault: socket.fault };
  };

  test("has the messages that were sent, in fragments, masked or not, with pings between", () => {
    const message = fc.record({
      opcode: fc.constantFrom(1, 2),
      payload: fc.oneof(
        fc.string({ unit: "grapheme", maxLength: 300 }).map((text) => Buffer.from(text)),
        fc.nat(70_000).map((length) => Buffer.alloc(length, "z")),
      ),
      fragments: fc.integer({ min: 1, max: 4 }),
      mask: fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 }), { nil: undefined }),
      ping: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), cuts, (messages, at) => {
        const { said, fault } = parse(Buffer.concat(messages.map(framesOf)), at);
        expect(fault).toBe("");
        const content = said.filter(({ kind }) => kind !== "ping");
        expect(content).toHaveLength(messages.length);
        messages.forEach(({ opcode, payload }, i) => {
          const one = content[i];
          expect(one?.kind).toBe(opcode === 1 ? "text" : "binary");
          expect(one?.bytes).toBe(payload.length);
          const shown = opcode === 1 ? MOST_TEXT_BYTES : MOST_TEXT_BYTES / 2;
          expect(one?.cut).toBe(payload.length > shown);
          const start = Buffer.from(payload.subarray(0, shown));
          expect(one?.text).toBe(start.toString(opcode === 1 ? "utf8" : "hex"));
        });
      }),
      { numRuns: 60 },
    );
  });

  test("is counted in bytes, and its text is not cut within a character", () => {
    const text = `x${"🍵".repeat(1500)}`;
    const { said } = parse(frame(true, 1, Buffer.from(text)));
    expect(said).toMatchObject([{ kind: "text", bytes: 6001, cut: true }]);
    expect(said[0]?.text).toBe(text.slice(0, 1 + 2 * Math.floor((MOST_TEXT_BYTES - 1) / 4)));
  });

  test("says who closed it, with what", () => {
    const capture = new Capture();
    const watch = opened(capture.of("shop"), { length: "socket" });
    watch.answered?.({ status: 101, reason: "", headers: [], length: "socket" });
    const mask = Buffer.from([1, 2, 3, 4]);
    watch.received?.(frame(true, 1, Buffer.from("bye"), mask));
    watch.sent?.(frame(true, 8, Buffer.from([3, 232, 0x6f, 0x6b])));
    watch.received?.(frame(true, 8, Buffer.from([3, 232]), mask));
    const [recording] = capture.newest();
    expect(recording?.close).toEqual({ by: "origin", code: 1000, reason: "ok" });
    const { messages } = recording?.stream(0, 0) ?? { messages: [] };
    expect(messages.map(({ direction, kind, text }) => [direction, kind, text])).toEqual([
      ["in", "text", "bye"],
      ["out", "close", "ok"],
      ["in", "close", ""],
    ]);
  });

  test("that is not one is said to be unreadable, and is read no further", () => {
    expect(parse(Buffer.from([0xc1, 0x01, 0x41])).fault).toContain("extension");
    expect(parse(Buffer.from([0x83, 0x00])).fault).toContain("opcode 3");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        parse(Buffer.from(bytes));
      }),
    );
  });
});

test("bytes that are on their way are not changed, though the origin masks them", () => {
  const frame = Buffer.from([0x81, 0x83, 1, 2, 3, 4, 0x60, 0x60, 0x60]);
  const before = Buffer.from(frame);
  const all: Said[] = [];
  new WebSocketMessages().read(frame, (said) => all.push(said));
  expect(all).toEqual([{ kind: "text", bytes: 3, text: "abc", cut: false }]);
  expect(frame.equals(before)).toBe(true);
});

test("what is kept of an event counts: its name, its id, and the blanks before a comment", () => {
  const log = new MessageLog();
  const events = new ServerSentEvents();
  const type = "e".repeat(200);
  const text = `event: ${type}\nid: ${type}\ndata: x\n\n:${" ".repeat(2000)}x\n`;
  events.read(Buffer.from(text), (said) => log.add(0, "out", said));
  expect(log.count).toBe(2);
  expect(log.bytes).toBeGreaterThan(text.length - 32);
});

test("a text takes what its characters take: two bytes each as soon as one needs two", () => {
  const taken = (text: string): number => {
    const log = new MessageLog();
    log.add(0, "out", { kind: "text", bytes: 0, text, cut: false });
    return log.bytes;
  };
  const empty = taken("");
  expect(taken("x".repeat(4000)) - empty).toBe(4000);
  expect(taken(`${"x".repeat(3998)}🍵`) - empty).toBe(8000);
  expect(taken("茶".repeat(1365)) - empty).toBe(2730);
});

test("of messages beyond ASCII no more is kept than there is room for", () => {
  const log = new MessageLog();
  for (let n = 0; n < 1000; n++) {
    log.add(n, "out", { kind: "text", bytes: 4095, text: "茶".repeat(1365), cut: false });
    expect(log.bytes).toBeLessThanOrEqual(1024 * 1024);
  }
  const kept = log.read().reduce((sum, { text }) => sum + 2 * text.length, 0);
  expect(kept).toBeGreaterThan(900_000);
  expect(kept).toBeLessThanOrEqual(1024 * 1024);
});

test("a compressed event stream has chunks, and says why it has no events", () => {
  const capture = new Capture();
  const watch = opened(capture.of("shop"));
  const headers = ["content-type", "text/event-stream", "Content-Encoding", "gzip"];
  watch.answered?.(answerHead("", { headers }));
  watch.sent?.(Buffer.from("data: no\n\n"));
  const stream = capture.newest()[0]?.stream(0, 0);
  expect(stream).toMatchObject({ messageCount: 0, chunkCount: 1 });
  expect(stream?.note).toContain("gzip");
});

test("of many messages the first and the latest are kept, and their numbers show what is missing", () => {
  const log = new MessageLog();
  const said: Said = { kind: "line", bytes: 5, text: "a tea", cut: false };
  for (let i = 0; i < 5000; i++) log.add(i, "out", said);
  const numbers = log.read().map(({ n }) => n);
  expect(numbers.slice(0, 100)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(numbers.at(-1)).toBe(4999);
  expect(numbers.length).toBeLessThanOrEqual(1000);
  expect(log.read(4990).map(({ n }) => n)).toEqual([
    4990, 4991, 4992, 4993, 4994, 4995, 4996, 4997, 4998, 4999,
  ]);
  for (let i = 0; i < 1000; i++) log.add(i, "out", { ...said, text: "x".repeat(4096) });
  expect(log.bytes).toBeLessThanOrEqual(1024 * 1024);
});

test("of many chunks the first and the latest are kept with their numbers", () => {
  const log = new ChunkLog();
  for (let i = 0; i < 10_000; i++) log.add(i, i % 3 === 0 ? "in" : "out", i + 1, 100, 0);
  const chunks = log.read();
  expect(log.count).toBe(10_000);
  expect(chunks.length).toBeLessThanOrEqual(1200);
  expect(chunks.slice(0, 200).map(({ n }) => n)).toEqual(Array.from({ length: 200 }, (_, i) => i));
  for (const { n, at, bytes, direction } of chunks) {
    expect([at, bytes, direction]).toEqual([n, n + 1, n % 3 === 0 ? "in" : "out"]);
  }
  expect(chunks.at(-1)?.n).toBe(9999);
  expect(log.read(9998).map(({ n }) => n)).toEqual([9998, 9999]);
});

test("throughput adds up to what has passed, however long the stream is", () => {
  const pass = fc.record({
    gapMs: fc.double({ min: 0, max: 5000, noNaN: true }),
    bytes: fc.nat(100_000),
    direction: fc.constantFrom("in" as const, "out" as const),
  });
  fc.assert(
    fc.property(fc.array(pass, { maxLength: 200 }), (passes) => {
      const flow = new FlowLog();
      let at = 0;
      const sums = { in: 0, out: 0 };
      let stalledMs = 0;
      for (const { gapMs, bytes, direction } of passes) {
        flow.add(at, direction, bytes, 1000);
        sums[direction] += bytes;
        if (bytes % 2 === 0) {
          flow.stalled(at, at + gapMs);
          stalledMs += gapMs;
        }
        at += gapMs;
      }
      const { in: into, out, stalledMs: stalled, stepMs, credit } = flow.read();
      const sum = (of: readonly number[]): number => of.reduce((total, each) => total + each, 0);
      expect([sum(into), sum(out)]).toEqual([sums.in, sums.out]);
      expect(sum(stalled)).toBeCloseTo(stalledMs, 3);
      for (const ms of stalled) expect(ms).toBeLessThanOrEqual(stepMs * 1.001);
      expect(out.length).toBeLessThanOrEqual(120);
      expect(credit.every((bytes) => bytes === -1 || bytes === 1000)).toBe(true);
    }),
  );
});
