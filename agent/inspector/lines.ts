/** Bytes to lines, of which no more than the beginning is kept: a line may never end. */
import { Pieces } from "./pieces.ts";
import { textOf } from "./text.ts";

const LF = 0x0a;
const CR = 0x0d;

/** The beginning of a line, and how long all of it was. */
export interface Line {
  readonly text: string;
  readonly bytes: number;
  readonly cut: boolean;
}

export class Lines {
  readonly #most: number;
  /** Whether a CR alone ends a line, as in event streams. */
  readonly #byCr: boolean;
  #kept = new Pieces();
  #bytes = 0;
  /** The last byte was a CR that ended a line: an LF behind it belongs to it. */
  #afterCr = false;

  constructor(options: { readonly mostBytes: number; readonly byCr: boolean }) {
    this.#most = options.mostBytes;
    this.#byCr = options.byCr;
  }

  /** Takes bytes, and calls `line` for each line that they end. */
  read(bytes: Uint8Array, line: (line: Line) => void): void {
    let from = 0;
    if (this.#afterCr && bytes.length > 0) {
      if (bytes[0] === LF) from = 1;
      this.#afterCr = false;
    }
    while (from < bytes.length) {
      const end = this.#endOf(bytes, from);
      if (end === -1) {
        this.#take(bytes.subarray(from));
        return;
      }
      this.#take(bytes.subarray(from, end));
      line(this.#flush());
      from = end + 1;
      if (!this.#byCr || bytes[end] !== CR) continue;
      if (from === bytes.length) this.#afterCr = true;
      else if (bytes[from] === LF) from++;
    }
  }

  /** What came after the last end of a line; undefined for nothing. */
  rest(): Line | undefined {
    return this.#bytes === 0 ? undefined : this.#flush();
  }

  #endOf(bytes: Uint8Array, from: number): number {
    const lf = bytes.indexOf(LF, from);
    if (!this.#byCr) return lf;
    const cr = bytes.subarray(from, lf === -1 ? bytes.length : lf).indexOf(CR);
    return cr === -1 ? lf : from + cr;
  }

  #take(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    const room = this.#most - this.#kept.length;
    if (room > 0 && bytes.length > 0) this.#kept.add(bytes.subarray(0, room));
  }

  #flush(): Line {
    const cut = this.#bytes > this.#kept.length;
    const line: Line = { text: textOf(this.#kept.read(), cut), bytes: this.#bytes, cut };
    this.#kept = new Pieces();
    this.#bytes = 0;
    return line;
  }
}
