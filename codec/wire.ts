/**
 * Frames to bytes and back. A message is one or more msgpack arrays, one after the other, each `[kind, …]`.
 *
 * DATA is written and read by hand, byte-identical to what msgpack libraries write; everything else goes through
 * `@msgpack/msgpack`. Nothing is decoded before its shape and size were checked byte by byte (`frameEnd`), because a
 * decoder that trusts a length prefix allocates what an attacker asks for: five bytes are enough for 268 MB.
 * Nothing is believed after it was decoded either: every field is checked here, so the mux sees only legal frames.
 */
import { Decoder, Encoder } from "@msgpack/msgpack";
import { unreachable } from "./assert.ts";
import { type ErrorCode, errorCodeOf, errors, TunnelError } from "./errors.ts";
import type { BodyLength, Frame, FrameKind, HeaderList } from "./frame.ts";
import { headersFault, requestFault, responseFault } from "./head.ts";
import { isHeaderValue } from "./headers.ts";
import {
  HEADROOM_BYTES,
  MAX_CREDIT_BYTES,
  MAX_DATA_BYTES,
  MAX_GRACE_MS,
  MAX_HEAD_BYTES,
  MAX_HEADER_FIELDS,
  MAX_NAME_CHARS,
  MAX_NOTE_CHARS,
  MAX_STREAM_ID,
} from "./limits.ts";
import { frameEnd, malformed, readUint, widthOf } from "./shape.ts";

/** The first element of each frame. */
export const frameKinds = {
  hello: 0,
  request: 1,
  response: 2,
  data: 3,
  end: 4,
  cancel: 5,
  credit: 6,
  ping: 7,
  pong: 8,
  goaway: 9,
  ack: 10,
} as const satisfies Record<FrameKind, number>;

/** Kinds from here on are extensions: an end that does not know one ignores the frame. Unknown ones below are errors. */
export const FIRST_EXTENSION_KIND = 64;

const encoder = new Encoder();
const decoder = new Decoder({
  maxStrLength: MAX_HEAD_BYTES,
  maxBinLength: MAX_HEAD_BYTES,
  maxArrayLength: 2 * MAX_HEADER_FIELDS,
  maxMapLength: 0,
  maxExtLength: 0,
});

/** Collects frames and makes one message of them. */
export class MessageWriter {
  #parts: (Uint8Array | (Frame & { kind: "data" }))[] = [];
  #bytes = 0;

  /** The size of the message so far (DATA headers counted at their largest). */
  get bytes(): number {
    return this.#bytes;
  }

  add(frame: Frame): void {
    if (frame.kind === "data") {
      this.#parts.push(frame);
      this.#bytes += HEADROOM_BYTES + frame.bytes.length;
    } else {
      const encoded = encoder.encode(fieldsOf(frame));
      this.#parts.push(encoded);
      this.#bytes += encoded.length;
    }
  }

  /** The message, in memory of its own from `allocate`; the writer is empty afterwards. */
  take(allocate: (bytes: number) => Uint8Array): Uint8Array {
    const parts = this.#parts;
    const capacity = this.#bytes;
    this.#parts = [];
    this.#bytes = 0;
    const [only] = parts;
    if (parts.length === 1 && only !== undefined) {
      if (only instanceof Uint8Array) return only;
      // Cut from a chunk's beginning, that is: what lies before a later piece is the piece before it.
      if (only.headroom === true && only.bytes.byteOffset === HEADROOM_BYTES) return inPlace(only);
    }
    const message = allocate(capacity);
    let at = 0;
    for (const part of parts) {
      if (part instanceof Uint8Array) {
        message.set(part, at);
        at += part.length;
      } else {
        at = writeData(message, at, part.stream, part.bytes);
      }
    }
    return at === capacity ? message : message.subarray(0, at);
  }
}

/** The message of one DATA frame whose header is written in front of its bytes, where they lie. */
function inPlace({ stream, bytes }: Frame & { kind: "data" }): Uint8Array {
  const header = new Uint8Array(HEADROOM_BYTES);
  const size = writeDataHeader(header, 0, stream, bytes.length);
  const start = bytes.byteOffset - size;
  const message = new Uint8Array(bytes.buffer, start, size + bytes.length);
  message.set(header.subarray(0, size));
  return message;
}

/** Writes one DATA frame into `target` at `at`, in msgpack's shortest form; returns the position behind it. */
export function writeData(
  target: Uint8Array,
  at: number,
  stream: number,
  bytes: Uint8Array,
): number {
  const payloadAt = writeDataHeader(target, at, stream, bytes.length);
  target.set(bytes, payloadAt);
  return payloadAt + bytes.length;
}

function writeDataHeader(target: Uint8Array, at: number, stream: number, size: number): number {
  target[at++] = 0x93;
  target[at++] = frameKinds.data;
  if (stream < 0x80) {
    target[at++] = stream;
  } else if (stream < 0x100) {
    target[at++] = 0xcc;
    target[at++] = stream;
  } else if (stream < 0x10000) {
    target[at++] = 0xcd;
    target[at++] = stream >>> 8;
    target[at++] = stream;
  } else {
    target[at++] = 0xce;
    target[at++] = stream >>> 24;
    target[at++] = stream >>> 16;
    target[at++] = stream >>> 8;
    target[at++] = stream;
  }
  if (size < 0x100) {
    target[at++] = 0xc4;
    target[at++] = size;
  } else if (size < 0x10000) {
    target[at++] = 0xc5;
    target[at++] = size >>> 8;
    target[at++] = size;
  } else {
    target[at++] = 0xc6;
    target[at++] = size >>> 24;
    target[at++] = size >>> 16;
    target[at++] = size >>> 8;
    target[at++] = size;
  }
  return at;
}

function fieldsOf(frame: Exclude<Frame, { kind: "data" }>): unknown[] {
  const kind = frameKinds[frame.kind];
  switch (frame.kind) {
    case "hello":
      return [
        kind,
        frame.session,
        frame.received,
        frame.maxStreams,
        frame.credit,
        frame.grace,
        frame.software,
      ];
    case "request": {
      const { method, path, length, headers } = frame.head;
      return [kind, frame.stream, frame.credit, method, path, lengthField(length), headers];
    }
    case "response": {
      const { status, reason, length, headers } = frame.head;
      return [kind, frame.stream, status, reason, lengthField(length), headers];
    }
    case "end":
      return [kind, frame.stream, frame.trailers];
    case "cancel":
      return [kind, frame.stream, errors[frame.code].wire, clip(frame.note)];
    case "credit":
      return [kind, frame.stream, frame.bytes];
    case "ping":
    case "pong":
      return [kind, frame.token];
    case "goaway":
      return [kind, frame.last, errors[frame.code].wire, clip(frame.note)];
    case "ack":
      return [kind, frame.received];
    default:
      return unreachable(frame);
  }
}

/** Notes may quote anything, an origin's error say: they are made to fit rather than refused. */
function clip(note: string): string {
  const clipped = note.slice(0, MAX_NOTE_CHARS);
  return isHeaderValue(clipped) ? clipped : clipped.replaceAll(/[^\t -~\x80-\ud7ff]/g, "?");
}

/** On the wire: nil is no body, -1 a length not known yet. */
function lengthField(length: BodyLength): number | null {
  if (typeof length === "number") return length;
  return length === "none" ? null : length === "unknown" ? -1 : -2;
}

/** Reads the frames of one message in order. */
export class MessageReader {
  readonly #message: Uint8Array;
  #at = 0;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  /**
   * The next frame; undefined at the end of the message. DATA is a view into the message.
   * @throws TunnelError `protocol-error` or `frame-too-large`: the peer's fault. Nothing else escapes.
   */
  next(): Frame | undefined {
    for (;;) {
      if (this.#at === this.#message.length) return undefined;
      const frame = this.#isData() ? this.#readData() : this.#readControl();
      if (frame !== undefined) return frame;
    }
  }

  #isData(): boolean {
    return this.#message[this.#at] === 0x93 && this.#message[this.#at + 1] === frameKinds.data;
  }

  #readData(): Frame {
    const message = this.#message;
    let at = this.#at + 2;
    const idWidth = widthOf(message[at], 0xcc);
    const stream = idWidth === 0 ? (message[at] ?? -1) : readUint(message, at + 1, idWidth);
    at += 1 + idWidth;
    const sizeWidth = widthOf(message[at], 0xc4);
    const size = sizeWidth === 0 ? -1 : readUint(message, at + 1, sizeWidth);
    at += 1 + sizeWidth;
    if (stream < 1 || stream > MAX_STREAM_ID || (idWidth === 0 && stream > 0x7f)) {
      throw malformed("DATA without a stream");
    }
    if (size < 1) throw malformed("DATA without bytes");
    if (size > MAX_DATA_BYTES) throw new TunnelError("frame-too-large", `DATA of ${size} bytes`);
    if (at + size > message.length) throw malformed("truncated DATA");
    this.#at = at + size;
    return { kind: "data", stream, bytes: message.subarray(at, at + size) };
  }

  /** Undefined for an extension that this version does not know. */
  #readControl(): Frame | undefined {
    const end = frameEnd(this.#message, this.#at);
    if (end - this.#at > MAX_HEAD_BYTES) {
      throw new TunnelError("frame-too-large", `a frame of ${end - this.#at} bytes`);
    }
    const bytes = this.#message.subarray(this.#at, end);
    this.#at = end;
    let fields: unknown;
    try {
      fields = decoder.decode(bytes);
    } catch (error) {
      throw malformed(error instanceof Error ? error.message : "undecodable");
    }
    if (!Array.isArray(fields)) throw malformed("a frame that is no array");
    return frameOf(fields);
  }
}

/** The fields of one frame, read in order and checked one by one. */
class Fields {
  readonly #values: readonly unknown[];
  #at = 0;

  constructor(values: readonly unknown[]) {
    this.#values = values;
  }

  /** An integer from `least` to `most`. */
  integer(least: number, most: number): number {
    const value = this.#values[this.#at++];
    if (
      typeof value !== "number" ||
      !Number.isSafeInteger(value) ||
      value < least ||
      value > most
    ) {
      throw malformed(`field ${this.#at} is no integer from ${least} to ${most}`);
    }
    return value;
  }

  stream(): number {
    return this.integer(1, MAX_STREAM_ID);
  }

  /** Text without control characters. */
  text(mostChars: number): string {
    const value = this.#values[this.#at++];
    if (typeof value !== "string" || value.length > mostChars || !isHeaderValue(value)) {
      throw malformed(`field ${this.#at} is no text of at most ${mostChars} characters`);
    }
    return value;
  }

  length(): BodyLength {
    if (this.#values[this.#at] === null) {
      this.#at++;
      return "none";
    }
    const value = this.integer(-2, Number.MAX_SAFE_INTEGER);
    return value === -1 ? "unknown" : value === -2 ? "socket" : value;
  }

  headers(): HeaderList {
    const value = this.#values[this.#at++];
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
      throw malformed(`field ${this.#at} is no list of header fields`);
    }
    return value as string[];
  }

  /** An error code. One this version does not know is an internal error of the peer's. */
  code(): ErrorCode {
    return errorCodeOf(this.integer(0, 0xffff)) ?? "internal-error";
  }

  end(): void {
    if (this.#at !== this.#values.length)
      throw malformed("a frame with more fields than its kind has");
  }
}

/** The frame that decoded fields make; undefined for an extension that this version does not know. */
function frameOf(values: readonly unknown[]): Frame | undefined {
  const fields = new Fields(values);
  const kind = fields.integer(0, 0xffff);
  if (kind >= FIRST_EXTENSION_KIND) return undefined;
  const frame = readFields(kind, fields);
  fields.end();
  return frame;
}

function readFields(kind: number, fields: Fields): Frame {
  switch (kind) {
    case frameKinds.hello:
      return {
        kind: "hello",
        session: fields.text(MAX_NAME_CHARS),
        received: fields.integer(0, Number.MAX_SAFE_INTEGER),
        maxStreams: fields.integer(0, MAX_STREAM_ID),
        credit: fields.integer(0, MAX_CREDIT_BYTES),
        grace: fields.integer(0, MAX_GRACE_MS),
        software: fields.text(MAX_NAME_CHARS),
      };
    case frameKinds.request: {
      const stream = fields.stream();
      const credit = fields.integer(0, MAX_CREDIT_BYTES);
      const method = fields.text(MAX_HEAD_BYTES);
      const path = fields.text(MAX_HEAD_BYTES);
      const head = { method, path, length: fields.length(), headers: fields.headers() };
      refuse(requestFault(head));
      return { kind: "request", stream, credit, head };
    }
    case frameKinds.response: {
      const stream = fields.stream();
      const status = fields.integer(101, 599);
      const reason = fields.text(MAX_HEAD_BYTES);
      const head = { status, reason, length: fields.length(), headers: fields.headers() };
      refuse(responseFault(head));
      return { kind: "response", stream, head };
    }
    case frameKinds.end: {
      const stream = fields.stream();
      const trailers = fields.headers();
      refuse(headersFault(trailers));
      return { kind: "end", stream, trailers };
    }
    case frameKinds.cancel:
      return {
        kind: "cancel",
        stream: fields.stream(),
        code: fields.code(),
        note: fields.text(MAX_NOTE_CHARS),
      };
    case frameKinds.credit:
      return {
        kind: "credit",
        stream: fields.stream(),
        bytes: fields.integer(1, MAX_CREDIT_BYTES),
      };
    case frameKinds.ping:
      return { kind: "ping", token: fields.integer(0, MAX_STREAM_ID) };
    case frameKinds.pong:
      return { kind: "pong", token: fields.integer(0, MAX_STREAM_ID) };
    case frameKinds.goaway:
      return {
        kind: "goaway",
        last: fields.integer(0, MAX_STREAM_ID),
        code: fields.code(),
        note: fields.text(MAX_NOTE_CHARS),
      };
    case frameKinds.ack:
      return { kind: "ack", received: fields.integer(0, Number.MAX_SAFE_INTEGER) };
    default:
      throw malformed(`unknown frame kind ${kind}`);
  }
}

function refuse(fault: string | undefined): void {
  if (fault !== undefined) throw malformed(fault);
}
