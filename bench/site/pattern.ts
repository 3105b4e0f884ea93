/**
 * The bytes that bodies are made of: every byte follows from its position. Plain ECMAScript, for workerd runs it too.
 *
 * The pattern repeats after a prime number of bytes, so that a chunk that is lost, doubled, out of place or another
 * stream's never looks right, wherever it was cut.
 */

/** A prime just below 1 MiB. */
export const PERIOD_BYTES = 1_048_573;

/** Twice the pattern and a little, so that every slice of up to 1 MiB of the endless body is one piece of it. */
const endless = makePattern();

function makePattern(): Uint8Array {
  const bytes = new Uint8Array(2 * PERIOD_BYTES + 64);
  let state = 0x9e3779b9;
  for (let at = 0; at < PERIOD_BYTES; at++) {
    // xorshift32: no byte says anything about its neighbour.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  bytes.copyWithin(PERIOD_BYTES, 0, PERIOD_BYTES);
  bytes.copyWithin(2 * PERIOD_BYTES, 0, 64);
  return bytes;
}

/** The `bytes` (at most 1 MiB) of the body at `offset`: a view, which nobody may change. */
export function slice(offset: number, bytes: number): Uint8Array {
  const at = offset % PERIOD_BYTES;
  return endless.subarray(at, at + bytes);
}

/** The body of a small answer: the request's id, and filling up to a usual size of a small JSON answer. */
export const SMALL_BYTES = 128;

export function smallBody(id: string): string {
  return `${id} `.padEnd(SMALL_BYTES, ".");
}
