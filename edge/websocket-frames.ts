/**
 * The bytes of a WebSocket connection (RFC 6455 section 5) to messages and back, as a client reads and writes them.
 *
 * The runtime gives the edge whole messages and the agent carries bytes, so the edge is the client of the origin's
 * WebSocket. Extensions are never offered, so no bit is reserved for one; the masking key is zero, because the
 * connection that masking protects is not this one (section 10.3).
 */
import { TunnelError } from "../codec/errors.ts";

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** RFC 6455 section 5.5. */
const MAX_CONTROL_BYTES = 125;

/** A message of up to this size is copied behind its header: one chunk instead of two. */
const JOINED_BYTES = 4096;

/** What the origin said. */
export type SocketEvent =
  | { readonly kind: "message"; readonly data: string | Uint8Array }
  | { readonly kind: "close"; readonly code: number | undefined; readonly reason: string }
  | { readonly kind: "ping"; readonly payload: Uint8Array };

/** A message as the bytes to send, in one or two pieces. */
export function messageFrame(data: string | Uint8Array): Uint8Array[] {
  return typeof data === "string"
    ? frame(opcodes.text, new TextEncoder().encode(data))
    : frame(opcodes.binary, data);
}

/** The answer to a ping. */
export function pongFrame(payload: Uint8Array): Uint8Array[] {
  return frame(opcodes.pong, payload);
}

/** The end, as the visitor gave it; without a code when it gave none. */
export function closeFrame(code: number | undefined, reason: string): Uint8Array[] {
  if (code === undefined) return frame(opcodes.close, new Uint8Array(0));
  const text = new TextEncoder().encode(reason).subarray(0, MAX_CONTROL_BYTES - 2);
  const payload = new Uint8Array(2 + text.length);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(text, 2);
  return frame(opcodes.close, payload);
}

function frame(opcode: number, payload: Uint8Array): Uint8Array[] {
  const size = payload.length;
  const lengthBytes = size < 126 ? 0 : size < 0x1_0000 ? 2 : 8;
  const headBytes = 2 + lengthBytes + 4;
  const joined = size <= JOINED_BYTES;
  const bytes = new Uint8Array(joined ? headBytes + size : headBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x80 | opcode;
  bytes[1] = 0x80 | (lengthBytes === 0 ? size : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) view.setUint16(2, size);
  else if (lengthBytes === 8) view.setBigUint64(2, BigInt(size));
  if (!joined) return [bytes, payload];
  bytes.set(payload, headBytes);
  return [bytes];
}

/** Reads what the origin sends, as it comes. */
export class FrameReader {
  readonly #mostBytes: number;
  /** A frame's header while it is incomplete: 2 bytes, then up to 8 of length. */
  readonly #head = new Uint8Array(10);
  #headBytes = 0;
  #opcode = 0;
  #final = false;
  /** The payload of the frame that is being read, and how much of it is here. */
  #payload: Uint8Array | undefined;
  #payloadBytes = 0;
  /** The frames of a message that is not complete, and whether it is text. */
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #text: boolean | undefined;

  /** `mostBytes` is the largest message that is put together: the runtime sends whole messages only. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /**
   * What `bytes` complete.
   * @throws TunnelError `origin-invalid` when they are no WebSocket frames, or a message is too large.
   */
  *read(bytes: Uint8Array): Generator<SocketEvent, void, void> {
    let at = 0;
    while (at < bytes.length || this.#isComplete()) {
      if (this.#payload === undefined) at = this.#readHead(bytes, at);
      else at = this.#readPayload(this.#payload, bytes, at);
      if (!this.#isComplete()) continue;
      const event = this.#finish();
      if (event !== undefined) yield event;
    }
  }

  #isComplete(): boolean {
    return this.#payload !== undefined && this.#payloadBytes === this.#payload.length;
  }

  #readHead(bytes: Uint8Array, start: number): number {
    let at = start;
    let need = headBytes(this.#head, this.#headBytes);
    while (at < bytes.length && this.#headBytes < need) {
      this.#head[this.#headBytes++] = bytes[at++] as number;
      need = headBytes(this.#head, this.#headBytes);
    }
    if (this.#headBytes < need) return at;
    const [first = 0, second = 0] = this.#head;
    if ((first & 0x70) !== 0 || (second & 0x80) !== 0) throw invalid("a reserved bit, or a mask");
    this.#final = (first & 0x80) !== 0;
    this.#opcode = first & 0x0f;
    const view = new DataView(this.#head.buffer);
    const size =
      need === 2 ? second : need === 4 ? view.getUint16(2) : Number(view.getBigUint64(2));
    this.#check(size);
    this.#headBytes = 0;
    this.#payload = new Uint8Array(size);
    this.#payloadBytes = 0;
    return at;
  }

  #check(size: number): void {
    const opcode = this.#opcode;
    if (opcode >= opcodes.close) {
      if (opcode > opcodes.pong || !this.#final || size > MAX_CONTROL_BYTES) {
        throw invalid("an illegal control frame");
      }
      return;
    }
    if (opcode > opcodes.binary) throw invalid(`opcode ${opcode}`);
    if ((opcode === opcodes.continuation) !== (this.#text !== undefined)) {
      throw invalid("fragments out of order");
    }
    if (this.#partsBytes + size > this.#mostBytes) {
      throw invalid(`a message above ${this.#mostBytes} bytes`);
    }
    if (opcode !== opcodes.continuation) this.#text = opcode === opcodes.text;
  }

  #readPayload(payload: Uint8Array, bytes: Uint8Array, start: number): number {
    const size = Math.min(payload.length - this.#payloadBytes, bytes.length - start);
    payload.set(bytes.subarray(start, start + size), this.#payloadBytes);
    this.#payloadBytes += size;
    return start + size;
  }

  /** What the frame that is complete means; undefined when it is only a part, or a pong. */
  #finish(): SocketEvent | undefined {
    const payload = this.#payload ?? new Uint8Array(0);
    this.#payload = undefined;
    switch (this.#opcode) {
      case opcodes.close:
        return closeEvent(payload);
      case opcodes.ping:
        return { kind: "ping", payload };
      case opcodes.pong:
        return undefined;
    }
    this.#parts.push(payload);
    this.#partsBytes += payload.length;
    if (!this.#final) return undefined;
    const whole = joined(this.#parts, this.#partsBytes);
    const data = this.#text === true ? textOf(whole) : whole;
    this.#parts = [];
    this.#partsBytes = 0;
    this.#text = undefined;
    return { kind: "message", data };
  }
}

/** How many bytes a header has, as far as can be told from its first `known` bytes. */
function headBytes(head: Uint8Array, known: number): number {
  if (known < 2) return 2;
  const size = (head[1] as number) & 0x7f;
  return size === 126 ? 4 : size === 127 ? 10 : 2;
}

function closeEvent(payload: Uint8Array): SocketEvent {
  if (payload.length === 0) return { kind: "close", code: undefined, reason: "" };
  if (payload.length === 1) throw invalid("a close frame of one byte");
  const code = new DataView(payload.buffer, payload.byteOffset).getUint16(0);
  return { kind: "close", code, reason: textOf(payload.subarray(2)) };
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalid("text that is not UTF-8");
  }
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function invalid(note: string): TunnelError {
  return new TunnelError("origin-invalid", `the origin's WebSocket sent ${note}`);
}
