/** What fast-check draws frames from: legal ones of every kind, with the edges of each field more often than chance. */
import fc from "fast-check";
import { type ErrorCode, errors } from "../../codec/errors.ts";
import type {
  BodyLength,
  Frame,
  HeaderList,
  RequestHead,
  ResponseHead,
} from "../../codec/frame.ts";
import {
  MAX_CREDIT_BYTES,
  MAX_GRACE_MS,
  MAX_METHOD_CHARS,
  MAX_NAME_CHARS,
  MAX_NOTE_CHARS,
  MAX_STREAM_ID,
} from "../../codec/limits.ts";

/** An integer from `least` to `most`, with the edges of msgpack's widths among them. */
function integer(least: number, most: number): fc.Arbitrary<number> {
  const edges = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 2 ** 31 - 1, 2 ** 32, 2 ** 53 - 1]
    .concat(least, most)
    .filter((edge) => edge >= least && edge <= most);
  return fc.oneof(
    fc.constantFrom(...edges),
    fc.integer({ min: least, max: Math.min(most, 300) }),
    fc.maxSafeInteger().map((n) => least + (Math.abs(n) % (most - least + 1))),
  );
}

export const streamId = integer(1, MAX_STREAM_ID);
export const credit = integer(1, MAX_CREDIT_BYTES);

const tokenUnit = fc.constantFrom(
  ...Array.from("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
);

export const headerName = fc.oneof(
  fc.string({ unit: tokenUnit, minLength: 1, maxLength: 40 }),
  fc.constantFrom("__proto__", "constructor", "Set-Cookie", "x"),
);

/** Text of any code points but control characters, tab excepted. */
export function text(maxLength: number): fc.Arbitrary<string> {
  return (
    fc
      .oneof(
        fc.string({ unit: "grapheme-ascii", maxLength }),
        fc.string({ unit: "binary", maxLength: Math.floor(maxLength / 2) }),
        fc.string({ unit: "grapheme-ascii", maxLength: 20 }).map((s) => s.repeat(30)),
      )
      // oxlint-disable-next-line no-control-regex -- control characters are what must not be in it
      .map((s) => s.replaceAll(/[\0-\x08\x0a-\x1f\x7f]/g, "\t").slice(0, maxLength))
      // A slice through a pair of surrogates would leave half of it.
      .map((s) => s.toWellFormed())
      // The library decodes long strings with a TextDecoder that drops a byte order mark at their head.
      .map((s) => s.replace(/^\ufeff/, ""))
  );
}

export const headers: fc.Arbitrary<HeaderList> = fc
  .array(fc.tuple(headerName, text(300)), { maxLength: 40 })
  .map((fields) => fields.flat());

export const bodyLength: fc.Arbitrary<BodyLength> = fc.oneof(
  fc.constantFrom("none" as const, "unknown" as const),
  integer(0, Number.MAX_SAFE_INTEGER),
);

const method = fc.oneof(
  fc.constantFrom("GET", "HEAD", "POST", "OPTIONS", "PROPFIND"),
  fc
    .string({ unit: tokenUnit, minLength: 1, maxLength: MAX_METHOD_CHARS })
    .filter((name) => name.toUpperCase() !== "CONNECT"),
);

const visible = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
const path = fc.oneof(
  fc.string({ unit: visible, maxLength: 500 }).map((rest) => `/${rest}`),
  fc.constant("*"),
);

export const requestHead: fc.Arbitrary<RequestHead> = fc.record({
  method,
  path,
  headers,
  length: bodyLength,
});

export const responseHead: fc.Arbitrary<ResponseHead> = fc.record({
  status: fc.integer({ min: 200, max: 599 }),
  reason: text(60),
  headers,
  length: bodyLength,
});

const errorCode = fc.constantFrom(...(Object.keys(errors) as ErrorCode[]));

/** Bytes of the sizes at which msgpack's header of a `bin` changes. */
export const dataBytes: fc.Arbitrary<Uint8Array> = fc
  .oneof(
    fc.constantFrom(1, 2, 0xff, 0x100, 0x101, 0xffff, 0x10000, 0x10001),
    fc.integer({ min: 1, max: 600 }),
  )
  .chain((size) => fc.integer({ min: 0, max: 255 }).map((first) => patterned(size, first)));

/** Bytes that count up from `first`: cheap to make, and a shift of one shows. */
export function patterned(size: number, first: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (first + i) % 251;
  return bytes;
}

export const controlFrame: fc.Arbitrary<Exclude<Frame, { kind: "data" }>> = fc.oneof(
  fc.record({
    kind: fc.constant("hello" as const),
    session: text(MAX_NAME_CHARS),
    received: integer(0, Number.MAX_SAFE_INTEGER),
    maxStreams: integer(0, MAX_STREAM_ID),
    credit: integer(0, MAX_CREDIT_BYTES),
    grace: integer(0, MAX_GRACE_MS),
    software: text(MAX_NAME_CHARS),
  }),
  fc.record({
    kind: fc.constant("request" as const),
    stream: streamId,
    credit: integer(0, MAX_CREDIT_BYTES),
    head: requestHead,
  }),
  fc.record({ kind: fc.constant("response" as const), stream: streamId, head: responseHead }),
  fc.record({ kind: fc.constant("end" as const), stream: streamId, trailers: headers }),
  fc.record({
    kind: fc.constant("cancel" as const),
    stream: streamId,
    code: errorCode,
    note: text(MAX_NOTE_CHARS),
  }),
  fc.record({ kind: fc.constant("credit" as const), stream: streamId, bytes: credit }),
  fc.record({
    kind: fc.constantFrom("ping" as const, "pong" as const),
    token: integer(0, MAX_STREAM_ID),
  }),
  fc.record({
    kind: fc.constant("goaway" as const),
    last: integer(0, MAX_STREAM_ID),
    code: errorCode,
    note: text(MAX_NOTE_CHARS),
  }),
  fc.record({
    kind: fc.constant("ack" as const),
    received: integer(0, Number.MAX_SAFE_INTEGER),
  }),
);

export const dataFrame = fc.record({
  kind: fc.constant("data" as const),
  stream: streamId,
  bytes: dataBytes,
});

export const frame: fc.Arbitrary<Frame> = fc.oneof(
  { arbitrary: controlFrame, weight: 5 },
  { arbitrary: dataFrame, weight: 2 },
);
