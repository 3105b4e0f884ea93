/**
 * The shape of a frame in msgpack, checked byte by byte before anything is decoded: a decoder that trusts a length prefix
 * allocates what an attacker asks for, and five bytes are enough for 268 MB.
 */
import { TunnelError } from "./errors.ts";
import { MAX_HEADER_FIELDS } from "./limits.ts";

/** The peer's fault that its bytes are no frames. */
export function malformed(note: string): TunnelError {
  return new TunnelError("protocol-error", note);
}

/** How many bytes of a number follow `marker`, which is one of a row of msgpack types of 1, 2 and 4 bytes; else 0. */
export function widthOf(marker: number | undefined, first: number): number {
  return marker === first ? 1 : marker === first + 1 ? 2 : marker === first + 2 ? 4 : 0;
}

/** A big-endian number; -1 beyond the end. */
export function readUint(message: Uint8Array, at: number, width: number): number {
  if (at + width > message.length) return -1;
  let value = 0;
  for (let i = 0; i < width; i++) value = value * 256 + (message[at + i] as number);
  return value;
}

/**
 * The position behind the frame at `start`, whose shape is checked on the way: a short array of scalars, strings, binary, and
 * at most arrays of those. No maps, no extensions, nothing deeper, nothing longer than the message.
 */
export function frameEnd(message: Uint8Array, start: number): number {
  const marker = message[start] as number;
  if (marker < 0x91 || marker > 0x9f) throw malformed("a frame is an array of 1 to 15 elements");
  let at = start + 1;
  for (let i = marker & 0x0f; i > 0; i--) {
    const count = arrayCount(message, at);
    if (count === undefined) {
      at = scalarEnd(message, at);
      continue;
    }
    if (count > 2 * MAX_HEADER_FIELDS) throw new TunnelError("frame-too-large", "too many fields");
    at += message[at] === 0xdc ? 3 : 1;
    for (let k = count; k > 0; k--) at = scalarEnd(message, at);
  }
  return at;
}

/** The length of the array that begins at `at`; undefined when no array does. */
function arrayCount(message: Uint8Array, at: number): number | undefined {
  const marker = message[at] as number;
  if (marker >= 0x90 && marker <= 0x9f) return marker & 0x0f;
  return marker === 0xdc ? readUint(message, at + 1, 2) : undefined;
}

/** The size of the scalars 0xca to 0xd3 behind their marker: floats, then unsigned, then signed numbers. */
const scalarBytes = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];

function scalarEnd(message: Uint8Array, at: number): number {
  const marker = message[at] as number;
  let end = at + 1;
  if (marker >= 0xa0 && marker <= 0xbf) {
    end += marker & 0x1f;
  } else if (marker >= 0xca && marker <= 0xcf) {
    end += scalarBytes[marker - 0xca] as number;
  } else if (marker >= 0xd0 && marker <= 0xd3) {
    end += scalarBytes[marker - 0xd0 + 6] as number;
  } else if ((marker >= 0xc4 && marker <= 0xc6) || (marker >= 0xd9 && marker <= 0xdb)) {
    // Binary is in no frame of this version that comes this way, but may be in an extension's.
    const width = widthOf(marker, marker < 0xd9 ? 0xc4 : 0xd9);
    const size = readUint(message, at + 1, width);
    if (size < 0) throw malformed("truncated frame");
    end += width + size;
  } else if (
    marker > 0x7f &&
    marker < 0xe0 &&
    marker !== 0xc0 &&
    marker !== 0xc2 &&
    marker !== 0xc3
  ) {
    throw malformed(`a frame holds no element of type 0x${marker.toString(16)}`);
  }
  // A marker beyond the end is undefined and fails here, as every size that points beyond it does.
  if (!(end <= message.length)) throw malformed("truncated frame");
  return end;
}
