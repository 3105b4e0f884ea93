/** The bytes of an origin's WebSocket: read however they are cut, and refused when they are none. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  closeFrame,
  FrameReader,
  messageFrame,
  pongFrame,
  type SocketEvent,
} from "../../edge/websocket-frames.ts";

const MOST = 100_000;

/** A frame as a server sends it. */
function served(opcode: number, payload: Uint8Array | string, final = true): Uint8Array {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const size = bytes.length;
  const head =
    size < 126
      ? [size]
      : size < 65_536
        ? [126, size >> 8, size & 255]
        : [127, 0, 0, 0, 0, size >>> 24, (size >> 16) & 255, (size >> 8) & 255, size & 255];
  return Uint8Array.from([(final ? 0x80 : 0) | opcode, ...head, ...bytes]);
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** What `bytes` say when they come in pieces that end at `cuts`. */
function read(bytes: Uint8Array, cuts: readonly number[] = []): SocketEvent[] {
  const reader = new FrameReader(MOST);
  const events: SocketEvent[] = [];
  let from = 0;
  for (const to of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    events.push(...reader.read(bytes.subarray(from, to)));
    from = to;
  }
  return events;
}

const message = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }),
  fc.uint8Array({ minLength: 65_530, maxLength: 65_540 }),
);

test("messages come out as they went in, wherever the bytes and the frames are cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ message, cut: fc.nat(400) }), { maxLength: 8 }),
      fc.array(fc.nat(100_000), { maxLength: 10 }),
      (sent, cuts) => {
        const frames = sent.flatMap(({ message: data, cut }) => {
          const opcode = typeof data === "string" ? 1 : 2;
          const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
          if (cut > bytes.length) return [served(opcode, bytes)];
          // In fragments, with a ping between.
          return [
            served(opcode, bytes.subarray(0, cut), false),
            served(9, "?"),
            served(0, bytes.subarray(cut)),
          ];
        });
        const bytes = joined(...frames);
        const inside = cuts.map((cut) => cut % (bytes.length + 1));
        const events = read(bytes, inside).filter(({ kind }) => kind === "message");
        expect(events).toEqual(sent.map(({ message: data }) => ({ kind: "message", data })));
      },
    ),
    { numRuns: 60 },
  );
});

describe("other frames", () => {
  test("a ping is told with its payload, a pong is not told", () => {
    const payload = new TextEncoder().encode("hi");
    expect(read(joined(served(10, "late"), served(9, payload)))).toEqual([
      { kind: "ping", payload },
    ]);
  });

  test("a close has its code and reason, or neither", () => {
    expect(read(served(8, ""))).toEqual([{ kind: "close", code: undefined, reason: "" }]);
    const payload = joined(Uint8Array.from([3, 232]), new TextEncoder().encode("bye"));
    expect(read(served(8, payload))).toEqual([{ kind: "close", code: 1000, reason: "bye" }]);
  });
});

test.each([
  ["a reserved bit", Uint8Array.from([0xc1, 0])],
  ["a masked frame of a server", Uint8Array.from([0x81, 0x80, 0, 0, 0, 0])],
  ["an unknown opcode", Uint8Array.from([0x83, 0])],
  ["an unknown control opcode", Uint8Array.from([0x8b, 0])],
  ["a control frame in fragments", Uint8Array.from([0x09, 0])],
  ["a control frame above 125 bytes", served(9, "x".repeat(126))],
  ["a continuation of nothing", served(0, "x")],
  ["a message within another", joined(served(1, "a", false), served(1, "b"))],
  ["text that is not UTF-8", served(1, Uint8Array.from([0xff]))],
  ["a close of one byte", served(8, "x")],
  ["a message above the limit", served(2, new Uint8Array(MOST + 1))],
  [
    "a message above the limit in fragments",
    joined(served(2, new Uint8Array(MOST), false), served(0, "x")),
  ],
])("%s is the origin's fault", (_, bytes) => {
  expect(() => read(bytes)).toThrow(expect.objectContaining({ code: "origin-invalid" }));
});

test("a message at the limit is read", () => {
  expect(read(served(2, new Uint8Array(MOST)))).toHaveLength(1);
});

test("what is sent is masked with zeros, with the shortest length, in one piece if it is small", () => {
  expect(messageFrame("hi")).toEqual([Uint8Array.from([0x81, 0x82, 0, 0, 0, 0, 104, 105])]);
  expect(pongFrame(new Uint8Array(1))).toEqual([Uint8Array.from([0x8a, 0x81, 0, 0, 0, 0, 0])]);
  expect(messageFrame(new Uint8Array(126))[0]?.slice(0, 4)).toEqual(
    Uint8Array.from([0x82, 0xfe, 0, 126]),
  );
  const [head, payload] = messageFrame(new Uint8Array(70_000));
  expect(head?.slice(0, 10)).toEqual(Uint8Array.from([0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x11, 0x70]));
  expect(payload).toHaveLength(70_000);
  expect(closeFrame(undefined, "")).toEqual([Uint8Array.from([0x88, 0x80, 0, 0, 0, 0])]);
  expect(closeFrame(1000, "x")).toEqual([Uint8Array.from([0x88, 0x83, 0, 0, 0, 0, 3, 232, 120])]);
});
