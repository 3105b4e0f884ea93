/** The wire: what is written is read back, as any msgpack library would write and read it, and nothing else gets in. */
import { decode, decodeMulti, encode, ExtData } from "@msgpack/msgpack";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TunnelError } from "../../codec/errors.ts";
import type { Frame } from "../../codec/frame.ts";
import { HEADROOM_BYTES, MAX_DATA_BYTES, MAX_STREAM_ID } from "../../codec/limits.ts";
import { frameKinds, MessageReader, MessageWriter, writeData } from "../../codec/wire.ts";
import { dataBytes, dataFrame, frame, patterned, streamId } from "../support/arbitraries.ts";
import { framesOf, messageOf } from "../support/pair.ts";

function hex(bytes: string): Uint8Array {
  return Uint8Array.from(Buffer.from(bytes.replaceAll(/\s/g, ""), "hex"));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

/** The code with which a message is refused; undefined when it is accepted. Anything but a TunnelError is thrown on. */
function refusal(message: Uint8Array): string | undefined {
  try {
    framesOf(message);
    return undefined;
  } catch (error) {
    if (error instanceof TunnelError) return error.code;
    throw error;
  }
}

const ping = messageOf({ kind: "ping", token: 7 });

/** The processor's time since then, in milliseconds: what others do on this machine is none of it. */
function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

describe("frames cross the wire", () => {
  test("each as it was, alone or with others in one message", () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 6 }), (frames) => {
        expect(framesOf(messageOf(...frames))).toEqual(frames);
      }),
      { numRuns: 1000 },
    );
  });

  test("as msgpack that any library reads", () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 4 }), (frames) => {
        const values = [...decodeMulti(messageOf(...frames))] as unknown[][];
        expect(values.map(([kind]) => kind)).toEqual(frames.map(({ kind }) => frameKinds[kind]));
      }),
      { numRuns: 300 },
    );
  });

  test("with a message's size known beforehand, up to a few bytes for each DATA", () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 6 }), (frames) => {
        const writer = new MessageWriter();
        for (const each of frames) writer.add(each);
        const { bytes } = writer;
        const { length } = writer.take((size) => new Uint8Array(size));
        const datas = frames.filter(({ kind }) => kind === "data").length;
        expect(length).toBeLessThanOrEqual(bytes);
        expect(length).toBeGreaterThanOrEqual(bytes - 7 * datas);
        expect(writer.bytes).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test("and a note that does not fit is made to fit, whatever characters it has", () => {
    const unit = fc.oneof(
      fc.constantFrom(
        "\0",
        "\n",
        "\x7f",
        "\x80",
        "\u2028",
        "\ud83d\ude00",
        "\ud800",
        "\udc00",
        '"',
        "\\",
      ),
      fc.constant("a"),
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 600, size: "max" }), (note) => {
        const [read] = framesOf(messageOf({ kind: "cancel", stream: 1, code: "cancelled", note }));
        expect(read?.kind).toBe("cancel");
      }),
    );
  });
});

describe("DATA, which is written and read by hand", () => {
  test("is byte for byte what @msgpack/msgpack writes", () => {
    fc.assert(
      fc.property(streamId, dataBytes, (stream, bytes) => {
        const target = new Uint8Array(bytes.length + 20);
        const end = writeData(target, 3, stream, bytes);
        const expected = encode([frameKinds.data, stream, bytes]);
        expect(Buffer.compare(target.subarray(3, end), expected)).toBe(0);
        expect(Buffer.compare(messageOf({ kind: "data", stream, bytes }), expected)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test.each([1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, MAX_STREAM_ID])(
    "crosses on stream %d with payloads of every size class",
    (stream) => {
      for (const size of [1, 0xff, 0x100, 0xffff, 0x10000, MAX_DATA_BYTES]) {
        const bytes = patterned(size, stream % 200);
        const message = encode([frameKinds.data, stream, bytes]);
        expect(Buffer.compare(messageOf({ kind: "data", stream, bytes }), message)).toBe(0);
        const [read, ...more] = framesOf(message);
        expect(more).toEqual([]);
        if (read?.kind !== "data") throw new Error("no DATA came out");
        expect([read.stream, Buffer.compare(read.bytes, bytes)]).toEqual([stream, 0]);
        expect(decode(message)).toEqual([frameKinds.data, stream, bytes]);
      }
    },
  );

  test("is a view into the message: nothing is copied", () => {
    const message = messageOf({ kind: "data", stream: 1, bytes: patterned(100, 0) });
    const [read] = framesOf(message);
    if (read?.kind !== "data") throw new Error("no DATA came out");
    expect(read.bytes.buffer).toBe(message.buffer);
  });

  test.each([
    ["stream 5 in a uint8", "93 03 cc05 c401 61"],
    ["stream 5 in a uint16", "93 03 cd0005 c401 61"],
    ["stream 5 in a uint32", "93 03 ce00000005 c401 61"],
    ["a bin 16 of one byte", "93 03 05 c50001 61"],
    ["a bin 32 of one byte", "93 03 05 c600000001 61"],
  ])("is accepted with %s", (_, bytes) => {
    expect(framesOf(hex(bytes))).toEqual([{ kind: "data", stream: 5, bytes: hex("61") }]);
  });

  test.each([
    ["stream 0", "93 03 00 c401 61"],
    ["a negative stream", "93 03 ff c401 61"],
    ["stream 2^31", "93 03 ce80000000 c401 61"],
    ["a uint64 stream", "93 03 cf0000000000000005 c401 61"],
    ["an int8 stream", "93 03 d005 c401 61"],
    ["a nil stream", "93 03 c0 c401 61"],
    ["no bytes", "93 03 05 c400"],
    ["a string in place of bytes", "93 03 05 a1 61"],
    ["two elements", "92 03 05"],
    ["four elements", "94 03 05 c401 61 00"],
    ["a kind in a uint8", "93 cc03 05 c401 61"],
    ["an array header of 16 bits", "dc0003 03 05 c401 61"],
    ["one byte too few", "93 03 05 c402 61"],
    ["no payload behind its size", "93 03 05 c600040000"],
    ["half of a size", "93 03 05 c500"],
    ["nothing behind the kind", "93 03"],
    ["half of a stream id", "93 03 cd00"],
  ] as [string, string][])("is refused with %s", (_, bytes) => {
    expect(refusal(hex(bytes))).toBe("protocol-error");
  });

  test("is refused as too large above the limit, whether its bytes are there or not", () => {
    const bytes = new Uint8Array(MAX_DATA_BYTES + 1);
    expect(refusal(encode([frameKinds.data, 1, bytes]))).toBe("frame-too-large");
    expect(refusal(hex("93 03 05 c6ffffffff 61"))).toBe("frame-too-large");
  });
});

describe("what a peer makes up", () => {
  const hostile = fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
    // Bytes that look like msgpack: markers of arrays, strings, numbers and bins.
    {
      weight: 3,
      arbitrary: fc
        .array(
          fc.oneof(
            fc.constantFrom(0x90, 0x91, 0x93, 0x94, 0x97, 0xa1, 0xc0, 0xc4, 0xcc, 0xcd, 0xce, 0xcf),
            fc.constantFrom(0xca, 0xcb, 0xd0, 0xd3, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0x80),
            fc.integer({ min: 0, max: 12 }),
            fc.integer({ min: 0, max: 255 }),
          ),
          { maxLength: 40 },
        )
        .map((bytes) => Uint8Array.from(bytes)),
    },
    // Frames whose fields are anything that msgpack can hold.
    {
      weight: 3,
      arbitrary: fc
        .array(
          fc.oneof(
            fc.integer({ min: -2, max: 12 }),
            fc.maxSafeInteger(),
            fc.double(),
            fc.string(),
            fc.constant(null),
            fc.boolean(),
            fc.array(fc.oneof(fc.string(), fc.nat(), fc.constant(null)), { maxLength: 4 }),
            fc.uint8Array({ maxLength: 4 }),
          ),
          { maxLength: 8 },
        )
        .map((fields) => encode(fields)),
    },
  );

  test("is read as frames or refused as the peer's fault, and a good message is read after it", () => {
    fc.assert(
      fc.property(hostile, (bytes) => {
        expect([undefined, "protocol-error", "frame-too-large"]).toContain(refusal(bytes));
        expect(framesOf(ping)).toEqual([{ kind: "ping", token: 7 }]);
      }),
      { numRuns: 5000 },
    );
  });

  test("does no other harm when it is a good message with some bytes changed, lost or added", () => {
    const change = fc.record({
      at: fc.nat(),
      cut: fc.constantFrom(0, 0, 1, 2),
      add: fc.uint8Array({ maxLength: 2 }),
    });
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 1, maxLength: 3 }),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        (frames, changes) => {
          let message = messageOf(...frames);
          for (const { at, cut, add } of changes) {
            const place = at % (message.length + 1);
            message = joined(message.subarray(0, place), add, message.subarray(place + cut));
          }
          expect([undefined, "protocol-error", "frame-too-large"]).toContain(refusal(message));
          expect(framesOf(ping)).toEqual([{ kind: "ping", token: 7 }]);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("is refused when it is a good frame cut short anywhere", () => {
    fc.assert(
      fc.property(frame, fc.nat(), (whole, at) => {
        const message = messageOf(whole);
        const size = 1 + (at % (message.length - 1));
        expect(refusal(message.subarray(0, size))).toBe("protocol-error");
      }),
      { numRuns: 1000 },
    );
  });

  test("is refused with something behind the last frame", () => {
    expect(refusal(joined(ping, hex("00")))).toBe("protocol-error");
    expect(refusal(joined(ping, hex("c1")))).toBe("protocol-error");
  });

  const MiB = 1024 * 1024;
  test.each([
    ["an array of 32 million", hex("dd01ffffff")],
    ["ten of them", hex("dd01ffffff".repeat(10))],
    ["an array of 32 million in a field", hex("92 07 dd01ffffff")],
    ["an array of 65535 in a field", hex("92 04 dcffff")],
    ["an array of 65535 in an extension", hex("92 40 dcffff")],
    ["a bin of 4 GB in an extension", hex("92 40 c6ffffffff")],
    ["a string of 4 GB", hex("92 07 dbffffffff")],
    ["a bin of 4 GB in a control frame", hex("92 07 c6ffffffff")],
    ["a map", hex("92 07 80")],
    ["a map with __proto__", joined(hex("92 07"), encode({ ["__proto__"]: 1, constructor: 2 }))],
    ["a map of 65535", hex("92 07 deffff")],
    ["an extension", joined(hex("92 07"), encode(new ExtData(1, new Uint8Array(8))))],
    ["a timestamp", joined(hex("92 07"), encode(new Date(0)))],
    ["a million nested arrays", new Uint8Array(MiB).fill(0x91)],
    ["an array in an array in a field", hex("92 07 91 91 90")],
    ["the byte that msgpack never uses", hex("92 07 c1")],
    ["no array at all", hex("07")],
    ["an empty array", hex("90")],
    ["a map at the top", hex("8107 07")],
    ["nothing but the end of a string", hex("92 07 a5 61")],
  ])("is refused at once, and nothing is allocated for it: %s", (_, message) => {
    const before = process.memoryUsage();
    const began = process.cpuUsage();
    expect(["protocol-error", "frame-too-large"]).toContain(refusal(message));
    expect(cpuMs(began)).toBeLessThan(1000);
    const after = process.memoryUsage();
    expect(
      after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers,
    ).toBeLessThan(8 * MiB);
  });

  test("of many tiny frames costs no more than reading them", () => {
    const message = new Uint8Array(MiB);
    for (let at = 0; at < MiB; at += 2) message.set([0x91, 0x40], at);
    const began = process.cpuUsage();
    expect(framesOf(message)).toEqual([]);
    expect(cpuMs(began)).toBeLessThan(3000);
  });
});

describe("each field is checked", () => {
  /** A good frame of each kind, as fields. */
  const good = {
    hello: [0, "s", 0, 10, 100, 15_000, "x/1"],
    request: [1, 5, 100, "GET", "/", null, ["a", "b"]],
    response: [2, 5, 200, "OK", -1, ["a", "b"]],
    end: [4, 5, ["a", "b"]],
    cancel: [5, 5, 1, "note"],
    credit: [6, 5, 100],
    ping: [7, 1],
    pong: [8, 1],
    goaway: [9, 0, 9, "note"],
    ack: [10, 3],
  } satisfies Record<Exclude<Frame["kind"], "data">, unknown[]>;

  test.each(Object.entries(good))("a good %s is accepted", (kind, fields) => {
    expect(framesOf(encode(fields))).toMatchObject([{ kind }]);
  });

  test.each(Object.entries(good))("%s is refused with a field more or less", (_, fields) => {
    expect(refusal(encode([...fields, 0]))).toBe("protocol-error");
    expect(refusal(encode(fields.slice(0, -1)))).toBe("protocol-error");
  });

  const notNumbers = [
    1.5,
    -0.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    -2,
    -(2 ** 40),
    true,
    null,
    "5",
    [5],
  ];
  const numberFields = Object.entries(good).flatMap(([kind, fields]) =>
    fields.flatMap((field, at) =>
      typeof field === "number" && field >= 0 ? [[kind, at] as const] : [],
    ),
  );
  test.each(numberFields)(
    "%s refuses what is no integer of its range as element %d",
    (kind, at) => {
      for (const wrong of notNumbers) {
        const fields: unknown[] = [...good[kind as keyof typeof good]];
        fields[at] = wrong;
        expect(refusal(encode(fields)), String(wrong)).toBe("protocol-error");
      }
    },
  );

  test.each([
    ["uint8", "92 07 cc05"],
    ["uint16", "92 07 cd0005"],
    ["uint32", "92 07 ce00000005"],
    ["uint64", "92 07 cf0000000000000005"],
    ["int8", "92 07 d005"],
    ["int16", "92 07 d10005"],
    ["int32", "92 07 d200000005"],
    ["int64", "92 07 d30000000000000005"],
  ])("integers may be of any width that holds them: %s", (_, bytes) => {
    expect(framesOf(hex(bytes))).toEqual([{ kind: "ping", token: 5 }]);
  });

  test("stream ids are 1 to 2^31-1, credit is 1 to 2^31-1", () => {
    expect(framesOf(encode([6, MAX_STREAM_ID, 2 ** 31 - 1]))).toHaveLength(1);
    for (const fields of [
      [6, 0, 1],
      [6, 2 ** 31, 1],
      [6, 1, 0],
      [6, 1, 2 ** 31],
    ]) {
      expect(refusal(encode(fields))).toBe("protocol-error");
    }
  });

  test.each([199, 101, 600, 0])("an answer of status %d is refused", (status) => {
    expect(refusal(encode([2, 5, status, "OK", -1, []]))).toBe("protocol-error");
  });

  test("the length of a body is nil, -1 or a size", () => {
    const heads = [null, -1, 0, 5, 2 ** 53 - 1].map((length) =>
      framesOf(encode([2, 5, 200, "", length, []])),
    );
    expect(heads.map(([head]) => (head?.kind === "response" ? head.head.length : head))).toEqual([
      "none",
      "unknown",
      0,
      5,
      2 ** 53 - 1,
    ]);
    for (const length of [-2, 2 ** 53, 1.5, "5", false, undefined]) {
      expect(refusal(encode([2, 5, 200, "", length, []])) ?? length).toBe(
        length === undefined ? undefined : "protocol-error",
      );
    }
  });

  test.each([
    ["a value with CR", ["a", "b\rc"]],
    ["a value with LF", ["a", "b\nc"]],
    ["a value with NUL", ["a", "b\0c"]],
    ["a value with DEL", ["a", "b\x7f"]],
    ["an empty name", ["", "b"]],
    ["a name with a blank", ["a b", "c"]],
    ["a name with a colon", ["a:", "c"]],
    ["a name that is not ASCII", ["ä", "c"]],
    ["a name with CR LF", ["a\r\nb", "c"]],
    ["a name without a value", ["a", "b", "c"]],
    ["a number for a value", ["a", 5]],
    ["nil for a value", ["a", null]],
    ["a text in place of a list", "ab"],
    ["half a surrogate pair in a value", ["a", "\ud800"]],
  ])("header and trailer lists are refused with %s", (_, list) => {
    expect(refusal(encode([1, 5, 100, "GET", "/", null, list]))).toBe("protocol-error");
    expect(refusal(encode([2, 5, 200, "OK", null, list]))).toBe("protocol-error");
    expect(refusal(encode([4, 5, list]))).toBe("protocol-error");
  });

  test.each([
    ["CR in two bytes", "c08d"],
    ["LF in two bytes", "c08a"],
    ["NUL in two bytes", "c080"],
    ["LF in three bytes", "e0808a"],
    ["CR in four bytes", "f080808d"],
  ])("overlong UTF-8 hides no control character in a header value: %s", (_, overlong) => {
    const size = overlong.length / 2;
    // [4, 1, ["a", <overlong>]], and the same behind 200 other bytes, where the decoder is another one.
    const short = hex(`93 04 01 92 a161 ${(0xa0 + size).toString(16)} ${overlong}`);
    const long = hex(
      `93 04 01 92 a161 d9${(250 + size).toString(16)} ${"62".repeat(250)} ${overlong}`,
    );
    for (const message of [short, long]) {
      const [read] = refusal(message) === undefined ? framesOf(message) : [];
      // Refused, or made harmless by the decoder: never a control character.
      if (read?.kind === "end") expect(read.trailers.join("")).not.toMatch(/[\0\r\n]/);
    }
    expect(refusal(short)).toBe("protocol-error");
  });

  test("a character cut off at a value's end does not swallow what follows", () => {
    // ["a", <c3>, "b", "c"]: the decoder may read beyond the value, but the next ones are whole.
    const read = refusal(hex("93 04 01 94 a161 a1c3 a162 a163"));
    expect([undefined, "protocol-error"]).toContain(read);
    if (read === undefined) {
      const [end] = framesOf(hex("93 04 01 94 a161 a1c3 a162 a163"));
      expect(end).toMatchObject({ kind: "end" });
      expect(end?.kind === "end" && end.trailers.slice(2)).toEqual(["b", "c"]);
    }
  });

  test.each([
    ["a method with a blank", "GE T", "/"],
    ["an empty method", "", "/"],
    ["CONNECT", "CONNECT", "/"],
    ["CONNECT in other letters", "Connect", "/"],
    ["an absolute target", "GET", "http://a/"],
    ["an authority", "GET", "a:1"],
    ["an empty target", "GET", ""],
    ["a target with a blank", "GET", "/a b"],
    ["a target with LF", "GET", "/a\nb"],
    ["a target with a final LF", "GET", "/\n"],
    ["a target that is not ASCII", "GET", "/ä"],
    ["* and more", "OPTIONS", "*/"],
  ])("a request is refused with %s", (_, method, path) => {
    expect(refusal(encode([1, 5, 100, method, path, null, []]))).toBe("protocol-error");
  });

  test.each(["a\nb", "a\rb", "\0"])(
    "control characters are refused in all other text: %j",
    (text) => {
      expect(refusal(encode([0, text, 0, 1, 1, "x"]))).toBe("protocol-error");
      expect(refusal(encode([0, "s", 0, 1, 1, text]))).toBe("protocol-error");
      expect(refusal(encode([2, 5, 200, text, null, []]))).toBe("protocol-error");
      expect(refusal(encode([5, 5, 1, text]))).toBe("protocol-error");
      expect(refusal(encode([9, 5, 1, text]))).toBe("protocol-error");
    },
  );

  test("an error number of a later version is an internal error of the peer's", () => {
    expect(framesOf(encode([5, 5, 9999, ""]))).toMatchObject([{ code: "internal-error" }]);
    expect(refusal(encode([5, 5, 0x10000, ""]))).toBe("protocol-error");
  });
});

describe("kinds that this version does not know", () => {
  test("are skipped from 64 on, whatever of the elements that a frame may have they hold", () => {
    const extensions: unknown[][] = [
      [64],
      [65, 1, "x", null, [1, "a"]],
      [0xffff, new Uint8Array(3)],
    ];
    for (const extension of extensions) {
      const message = joined(ping, encode(extension), ping);
      expect(framesOf(message)).toEqual([
        { kind: "ping", token: 7 },
        { kind: "ping", token: 7 },
      ]);
    }
  });

  test("are refused below, and so is what is no kind", () => {
    for (const kind of [11, 63, -1, 1.5, "3", null, 0x10000]) {
      expect(refusal(encode([kind])), String(kind)).toBe("protocol-error");
    }
  });

  test("skip over nothing that no frame may hold", () => {
    for (const illegal of [{}, { a: 1 }, [[]], [{}], new ExtData(1, new Uint8Array(1))]) {
      expect(refusal(joined(encode([64, illegal]), ping))).toBe("protocol-error");
    }
  });
});

describe("a reader", () => {
  test("gives the frames before a bad one, then refuses", () => {
    fc.assert(
      fc.property(dataFrame, (data) => {
        const reader = new MessageReader(joined(messageOf(data), hex("c1")));
        expect(reader.next()).toEqual(data);
        expect(() => reader.next()).toThrow(TunnelError);
      }),
      { numRuns: 50 },
    );
  });

  test("of an empty message gives nothing", () => {
    expect(framesOf(new Uint8Array(0))).toEqual([]);
  });
});

describe("data with headroom", () => {
  const written = (bytes: Uint8Array, headroom: boolean, before: Frame[] = []): Uint8Array => {
    const writer = new MessageWriter();
    for (const frame of before) writer.add(frame);
    writer.add({ kind: "data", stream: 300, bytes, ...(headroom ? { headroom: true } : {}) });
    return writer.take((size) => new Uint8Array(size));
  };
  const inBuffer = (offset: number): Uint8Array => {
    const bytes = new Uint8Array(new ArrayBuffer(offset + 70_000), offset);
    for (let i = 0; i < bytes.length; i++) bytes[i] = i % 251;
    return bytes;
  };

  test("becomes the same message as without, in the memory where it lies", () => {
    const bytes = inBuffer(HEADROOM_BYTES);
    const copied = written(bytes.slice(), false);
    const message = written(bytes, true);
    expect(Buffer.compare(message, copied)).toBe(0);
    expect(message.buffer).toBe(bytes.buffer);
  });

  test.each([0, HEADROOM_BYTES - 1, HEADROOM_BYTES + 1, HEADROOM_BYTES + 65_536])(
    "is copied when it lies at %i, where what is in front may be somebody's data",
    (offset) => {
      const bytes = inBuffer(offset);
      const front = new Uint8Array(bytes.buffer, 0, offset).fill(7);
      const message = written(bytes, true);
      expect(message.buffer).not.toBe(bytes.buffer);
      expect(front.every((byte) => byte === 7)).toBe(true);
      expect(Buffer.compare(message, written(bytes.slice(), false))).toBe(0);
    },
  );

  test("is copied when it shares its message", () => {
    const bytes = inBuffer(HEADROOM_BYTES);
    expect(written(bytes, true, [{ kind: "ping", token: 1 }]).buffer).not.toBe(bytes.buffer);
  });
});
