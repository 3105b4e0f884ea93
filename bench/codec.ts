/**
 * Frames to bytes and back, beside memcpy, beside `@msgpack/msgpack` used plainly, and beside the codecs that others
 * write: JSON with base64, or JSON in front of the bytes.
 */
import { deepStrictEqual } from "node:assert/strict";
import { decode, encode } from "@msgpack/msgpack";
import type { Frame } from "../codec/frame.ts";
import { frameKinds, MessageReader, MessageWriter, writeData } from "../codec/wire.ts";
import { loopRow, sink, type Variant } from "./loops.ts";
import type { Plan } from "./plan.ts";
import type { Row } from "./row.ts";
import { slice } from "./site/pattern.ts";

const KiB = 1024;

/** Names that the targets refer to. */
export const OURS = "sluice";
export const OURS_INTO = "sluice, into memory at hand";
export const MEMCPY = "memcpy";
export const MEMCPY_FRESH = "memcpy into fresh memory";

/** As the agent does. */
const allocate = (bytes: number): Uint8Array => Buffer.allocUnsafeSlow(bytes);

const STREAM = 1234;

export async function codecRows(plan: Plan, only: string): Promise<Row[]> {
  const rows: Row[] = [];
  const add = async (name: string, variants: () => Variant[]): Promise<void> => {
    if (name.includes(only)) rows.push(...(await loopRow("codec", name, variants(), plan)));
  };
  for (const size of [1, 16, 64, 256]) {
    await add(`encode DATA ${size} KiB`, () => encodeData(size * KiB));
    await add(`decode DATA ${size} KiB`, () => decodeData(size * KiB));
  }
  await add("encode HEAD of 15 fields", encodeHead);
  await add("decode HEAD of 15 fields", decodeHead);
  for (const frames of [1, 64]) {
    await add(`encode 200 B, ${frames} a message`, () => encodeMany(frames));
    await add(`decode 200 B, ${frames} a message`, () => decodeMany(frames));
  }
  return rows;
}

function message(...frames: Frame[]): Uint8Array {
  const writer = new MessageWriter();
  for (const frame of frames) writer.add(frame);
  return writer.take(allocate);
}

function readAll(bytes: Uint8Array): Frame[] {
  const reader = new MessageReader(bytes);
  const frames: Frame[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
  return frames;
}

/** Runs `step` `times` times and keeps its last result. */
function loop(step: () => unknown): (times: number) => void {
  return (times) => {
    let last: unknown;
    for (let i = 0; i < times; i++) last = step();
    sink.value = last;
  };
}

function encodeData(size: number): Variant[] {
  const bytes = slice(0, size);
  const frame: Frame = { kind: "data", stream: STREAM, bytes };
  const writer = new MessageWriter();
  const target = new Uint8Array(size + 16);
  deepStrictEqual(decode(message(frame)), [frameKinds.data, STREAM, Buffer.from(bytes)]);
  return [
    {
      system: OURS,
      kind: "ours",
      bytes: size,
      run: loop(() => {
        writer.add(frame);
        return writer.take(allocate);
      }),
    },
    {
      system: OURS_INTO,
      kind: "ours",
      bytes: size,
      run: loop(() => writeData(target, 0, STREAM, bytes)),
    },
    { system: MEMCPY, kind: "floor", bytes: size, run: loop(() => target.set(bytes)) },
    {
      system: MEMCPY_FRESH,
      kind: "floor",
      bytes: size,
      run: loop(() => {
        const fresh = allocate(size);
        fresh.set(bytes);
        return fresh;
      }),
    },
    {
      system: "@msgpack/msgpack",
      kind: "peer",
      bytes: size,
      run: loop(() => encode([frameKinds.data, STREAM, bytes])),
    },
    {
      system: "JSON head + bytes",
      kind: "peer",
      bytes: size,
      run: loop(() => encodeNaive({ type: "data", id: STREAM }, bytes)),
    },
    {
      system: "JSON + base64",
      kind: "peer",
      bytes: size,
      run: loop(() => JSON.stringify({ type: "data", id: STREAM, data: base64(bytes) })),
    },
  ];
}

function decodeData(size: number): Variant[] {
  const bytes = slice(0, size);
  const encoded = message({ kind: "data", stream: STREAM, bytes });
  const naive = encodeNaive({ type: "data", id: STREAM }, bytes);
  const json = JSON.stringify({ type: "data", id: STREAM, data: base64(bytes) });
  const [frame] = readAll(encoded);
  if (frame?.kind !== "data" || frame.bytes.buffer !== encoded.buffer) {
    throw new Error("DATA is decoded with a copy");
  }
  return [
    { system: OURS, kind: "ours", bytes: size, run: loop(() => new MessageReader(encoded).next()) },
    {
      system: MEMCPY_FRESH,
      kind: "floor",
      bytes: size,
      run: loop(() => Buffer.allocUnsafeSlow(size).set(bytes)),
    },
    { system: "@msgpack/msgpack", kind: "peer", bytes: size, run: loop(() => decode(encoded)) },
    { system: "JSON head + bytes", kind: "peer", bytes: size, run: loop(() => decodeNaive(naive)) },
    {
      system: "JSON + base64",
      kind: "peer",
      bytes: size,
      run: loop(() => {
        const { data } = JSON.parse(json) as { data: string };
        return Buffer.from(data, "base64");
      }),
    },
  ];
}

const fields = [
  ["content-type", "application/json; charset=utf-8"],
  ["content-encoding", "br"],
  ["cache-control", "public, max-age=0, s-maxage=300, stale-while-revalidate=60"],
  ["date", "Tue, 24 Nov 2026 10:00:00 GMT"],
  ["etag", 'W/"5e3b-GJZ5eqfD2QeyZ3W1uJvPpXk0mC8"'],
  ["last-modified", "Mon, 23 Nov 2026 08:12:31 GMT"],
  ["vary", "Accept-Encoding, Origin"],
  ["server", "nginx"],
  ["strict-transport-security", "max-age=31536000; includeSubDomains"],
  ["x-content-type-options", "nosniff"],
  ["x-frame-options", "SAMEORIGIN"],
  ["x-request-id", "2f6a9c0e-7a54-4a55-9f4b-0d3a1c1b8f6e"],
  ["access-control-allow-origin", "https://shop.example"],
  ["set-cookie", "session=eyJhbGciOiJIUzI1NiJ9.e30; Path=/; HttpOnly; Secure; SameSite=Lax"],
  ["set-cookie", "theme=dark; Path=/; Max-Age=31536000"],
] as const;

const headFrame: Frame = {
  kind: "response",
  stream: STREAM,
  head: { status: 200, reason: "OK", length: 128, headers: fields.flat() },
};
const headJson = { type: "response", id: STREAM, status: 200, headers: fields };

function encodeHead(): Variant[] {
  const writer = new MessageWriter();
  const headers = Object.fromEntries(fields);
  return [
    {
      system: OURS,
      kind: "ours",
      run: loop(() => {
        writer.add(headFrame);
        return writer.take(allocate);
      }),
    },
    {
      system: "@msgpack/msgpack",
      kind: "peer",
      run: loop(() => encode({ id: STREAM, status: 200, headers })),
    },
    { system: "JSON", kind: "peer", run: loop(() => Buffer.from(JSON.stringify(headJson))) },
  ];
}

function decodeHead(): Variant[] {
  const encoded = message(headFrame);
  const plain = encode({ id: STREAM, status: 200, headers: Object.fromEntries(fields) });
  const json = Buffer.from(JSON.stringify(headJson));
  deepStrictEqual(readAll(encoded), [headFrame]);
  return [
    { system: OURS, kind: "ours", run: loop(() => new MessageReader(encoded).next()) },
    { system: "@msgpack/msgpack", kind: "peer", run: loop(() => decode(plain)) },
    { system: "JSON", kind: "peer", run: loop(() => JSON.parse(json.toString()) as unknown) },
  ];
}

function encodeMany(frames: number): Variant[] {
  const frame: Frame = { kind: "data", stream: STREAM, bytes: slice(0, 200) };
  const writer = new MessageWriter();
  return [
    {
      system: OURS,
      kind: "ours",
      things: frames,
      run: loop(() => {
        for (let i = 0; i < frames; i++) writer.add(frame);
        return writer.take(allocate);
      }),
    },
    {
      system: "@msgpack/msgpack",
      kind: "peer",
      things: frames,
      run: loop(() => {
        const parts: Uint8Array[] = [];
        for (let i = 0; i < frames; i++) parts.push(encode([frameKinds.data, STREAM, frame.bytes]));
        return Buffer.concat(parts);
      }),
    },
  ];
}

function decodeMany(frames: number): Variant[] {
  const frame: Frame = { kind: "data", stream: STREAM, bytes: slice(0, 200) };
  const encoded = message(...Array.from({ length: frames }, () => frame));
  const one = encode([frameKinds.data, STREAM, frame.bytes]);
  return [
    { system: OURS, kind: "ours", things: frames, run: loop(() => readAll(encoded)) },
    {
      system: "@msgpack/msgpack",
      kind: "peer",
      things: frames,
      run: loop(() => {
        let last: unknown;
        for (let i = 0; i < frames; i++) last = decode(one);
        return last;
      }),
    },
  ];
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** What everybody writes first: a length, a head in JSON, and the bytes. */
function encodeNaive(head: object, bytes: Uint8Array): Buffer {
  const text = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text, bytes]);
}

function decodeNaive(bytes: Buffer): { head: unknown; bytes: Buffer } {
  const end = 4 + bytes.readUInt32BE(0);
  const head: unknown = JSON.parse(bytes.toString("utf8", 4, end));
  return { head, bytes: Buffer.from(bytes.subarray(end)) };
}
