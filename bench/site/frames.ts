/**
 * Counts the messages in one direction of a WebSocket connection from its bytes, by frame headers (RFC 6455 section
 * 5.2) and nothing else: what an edge is billed for, seen from outside.
 */

export class MessageCounter {
  /** Data messages that began. Control frames are free of charge and not counted. */
  messages = 0;
  /** Bytes of their payloads. */
  payloadBytes = 0;
  /** Whether the HTTP upgrade is over. Its end may lie across two chunks: `#matched` says how much of it was seen. */
  #upgraded = false;
  #matched = 0;
  #leftBytes = 0;
  /** The part of a frame header that has arrived. */
  readonly #header = Buffer.alloc(14);
  #headerBytes = 0;

  push(chunk: Buffer): void {
    let at = this.#upgraded ? 0 : this.#skipUpgrade(chunk);
    while (at < chunk.length) {
      if (this.#leftBytes > 0) {
        const skipped = Math.min(this.#leftBytes, chunk.length - at);
        this.#leftBytes -= skipped;
        at += skipped;
        continue;
      }
      this.#header[this.#headerBytes++] = chunk[at++] ?? 0;
      if (this.#headerBytes >= 2 && this.#headerBytes === this.#headerSize()) this.#begin();
    }
  }

  /** The position behind the empty line that ends the upgrade's head. */
  #skipUpgrade(chunk: Buffer): number {
    for (let at = 0; at < chunk.length; at++) {
      const expected = this.#matched % 2 === 0 ? 0x0d : 0x0a;
      this.#matched = chunk[at] === expected ? this.#matched + 1 : chunk[at] === 0x0d ? 1 : 0;
      if (this.#matched < 4) continue;
      this.#upgraded = true;
      return at + 1;
    }
    return chunk.length;
  }

  #headerSize(): number {
    const second = this.#header[1] ?? 0;
    const length = second & 0x7f;
    return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + ((second & 0x80) === 0 ? 0 : 4);
  }

  #begin(): void {
    const [first = 0, second = 0] = this.#header;
    const length = second & 0x7f;
    this.#leftBytes =
      length === 127
        ? Number(this.#header.readBigUInt64BE(2))
        : length === 126
          ? this.#header.readUInt16BE(2)
          : length;
    this.#headerBytes = 0;
    const opcode = first & 0x0f;
    if (opcode >= 8) return;
    if (opcode !== 0) this.messages++;
    this.payloadBytes += this.#leftBytes;
  }
}
