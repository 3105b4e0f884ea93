/**
 * One direction of a WebSocket connection to its messages (RFC 6455 section 5).
 *
 * It checks nothing that the two ends check; what it cannot read is said once, and then it reads no more. Extensions are
 * never agreed to through the tunnel, so that payloads are plain.
 */
import { MOST_TEXT_BYTES, type Said } from "./message-log.ts";
import { Pieces } from "./pieces.ts";
import { textOf } from "./text.ts";

const MOST_HEADER_BYTES = 14;

/** Kept of a control frame: all of it. */
const CONTROL_BYTES = 125;

interface Frame {
  readonly opcode: number;
  readonly final: boolean;
  readonly mask: Uint8Array | undefined;
  readonly bytes: number;
  /** Bytes of its payload that have come. */
  come: number;
}

/** What has come of a message. */
interface Parts {
  readonly opcode: number;
  readonly kept: Pieces;
  bytes: number;
}

export class WebSocketMessages {
  readonly #header = Buffer.alloc(MOST_HEADER_BYTES);
  #headerBytes = 0;
  #frame: Frame | undefined;
  #message: Parts | undefined;
  #control: Parts | undefined;
  /** Why it reads no more; "" while it does. */
  fault = "";

  /** Takes bytes, and calls `said` for each message and control frame that they complete. */
  read(bytes: Uint8Array, said: (said: Said) => void): void {
    let from = 0;
    while (from < bytes.length && this.fault === "") {
      if (this.#frame === undefined) {
        from = this.#readHeader(bytes, from);
        if (this.#frame === undefined) continue;
      }
      from = this.#readPayload(this.#frame, bytes, from);
      if (this.#frame.come === this.#frame.bytes) this.#endFrame(this.#frame, said);
    }
  }

  /** Byte by byte, as far as this frame's header goes. */
  #readHeader(bytes: Uint8Array, start: number): number {
    let from = start;
    while (from < bytes.length) {
      this.#header[this.#headerBytes++] = bytes[from++] as number;
      if (this.#headerBytes < headerBytes(this.#header, this.#headerBytes)) continue;
      this.#headerBytes = 0;
      this.#begin();
      break;
    }
    return from;
  }

  #begin(): void {
    const header = this.#header;
    const [first = 0, second = 0] = header;
    const opcode = first & 0x0f;
    const final = (first & 0x80) !== 0;
    if ((first & 0x70) !== 0) {
      this.fault = "a frame uses an extension (reserved bits are set)";
      return;
    }
    if ((opcode > 2 && opcode < 8) || opcode > 10) {
      this.fault = `a frame has the unknown opcode ${opcode}`;
      return;
    }
    const short = second & 0x7f;
    const bytes =
      short < 126
        ? short
        : short === 126
          ? header.readUInt16BE(2)
          : header.readUInt32BE(2) * 2 ** 32 + header.readUInt32BE(6);
    const at = short < 126 ? 2 : short === 126 ? 4 : 10;
    const mask = (second & 0x80) === 0 ? undefined : Uint8Array.from(header.subarray(at, at + 4));
    this.#frame = { opcode, final, mask, bytes, come: 0 };
    if (opcode >= 8) this.#control = { opcode, kept: new Pieces(), bytes: 0 };
    else if (opcode > 0 || this.#message === undefined) {
      this.#message = { opcode, kept: new Pieces(), bytes: 0 };
    }
  }

  #readPayload(frame: Frame, bytes: Uint8Array, from: number): number {
    const end = Math.min(bytes.length, from + frame.bytes - frame.come);
    const parts = frame.opcode >= 8 ? this.#control : this.#message;
    if (parts !== undefined) {
      const room = (frame.opcode >= 8 ? CONTROL_BYTES : MOST_TEXT_BYTES) - parts.kept.length;
      if (room > 0 && end > from) {
        // A copy: the bytes are on their way, and `Buffer.slice` would be the same ones.
        const kept = new Uint8Array(bytes.subarray(from, Math.min(end, from + room)));
        const { mask } = frame;
        if (mask !== undefined) {
          for (let i = 0; i < kept.length; i++) {
            kept[i] = (kept[i] as number) ^ (mask[(frame.come + i) & 3] as number);
          }
        }
        parts.kept.add(kept);
      }
      parts.bytes += end - from;
    }
    frame.come += end - from;
    return end;
  }

  #endFrame({ opcode, final }: Frame, said: (said: Said) => void): void {
    this.#frame = undefined;
    if (opcode >= 8) {
      const control = this.#control;
      this.#control = undefined;
      if (control !== undefined) said(saidBy(control));
    } else if (final) {
      const message = this.#message;
      this.#message = undefined;
      if (message !== undefined) said(saidBy(message));
    }
  }
}

/** How long the header is, as far as its first `have` bytes tell. */
function headerBytes(header: Buffer, have: number): number {
  if (have < 2) return 2;
  const second = header[1] as number;
  const length = second & 0x7f;
  return 2 + (length < 126 ? 0 : length === 126 ? 2 : 8) + ((second & 0x80) === 0 ? 0 : 4);
}

const kinds = new Map<number, Said["kind"]>([
  [1, "text"],
  [8, "close"],
  [9, "ping"],
  [10, "pong"],
]);

function saidBy({ opcode, kept, bytes }: Parts): Said {
  const content = Buffer.from(kept.read());
  const kind = kinds.get(opcode) ?? "binary";
  const cut = bytes > kept.length;
  if (kind === "close") {
    const code = content.length >= 2 ? content.readUInt16BE(0) : 1005;
    return { kind, bytes, text: content.subarray(2).toString("utf8"), cut, label: String(code) };
  }
  if (kind === "text") return { kind, bytes, text: textOf(content, cut), cut };
  // Hexadecimal is twice as long: half of it is shown.
  const shown = content.subarray(0, MOST_TEXT_BYTES / 2);
  return { kind, bytes, text: shown.toString("hex"), cut: bytes > shown.length };
}
