/** Texts and their bytes: what a text takes of memory, and the text of bytes that may have been cut short. */

/** Bytes of memory that a text takes: one a character, or two when one of its characters needs two. Never too few. */
export function memoryOf(text: string): number {
  return Buffer.byteLength(text) === text.length ? text.length : 2 * text.length;
}

const whole = new TextDecoder("utf-8", { ignoreBOM: true });

/** The text of UTF-8 bytes. Of a `cut` one without the character within which it was cut: nobody sent half of one. */
export function textOf(bytes: Uint8Array, cut: boolean): string {
  if (!cut) return whole.decode(bytes);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: true });
}

/** The beginning of a text that has at most `bytes` in UTF-8. */
export function beginningOf(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  // A character has a byte at least.
  return textOf(Buffer.from(text.slice(0, bytes)).subarray(0, bytes), true);
}
