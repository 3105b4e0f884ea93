/**
 * Lines that come within a moment are written at once: a write to a pipe or a terminal is a system call that blocks,
 * and at thousands of requests a second it was a quarter of the agent's work.
 *
 * A reader that stalls is not waited for, and gets no endless memory either: what there is no room for is dropped, and
 * counted.
 */
import type { Sink } from "./log.ts";

/** Nobody who reads along notices this; fifty writes a second cost nothing. */
const MOMENT_MS = 20;

/** What may wait for a reader: some thousands of requests. */
export const MOST_UNREAD_BYTES = 1024 * 1024;

/** Where lines go in the end: a stream, or what writes at once and lets nothing wait. */
export interface SinkTarget extends Sink {
  /** Bytes that the reader has not taken. */
  readonly writableLength?: number;
  /** Whether they are more than a reader leaves that keeps up. */
  readonly writableNeedDrain?: boolean;
  /** Told when the reader has taken everything, if there was need of it. */
  once?(event: "drain", taken: () => void): unknown;
}

export class BatchedSink implements Sink {
  readonly #target: SinkTarget;
  readonly #tellDropped: (lines: number) => void;
  #text = "";
  #bytes = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * What is written when the process ends is not lost: `process.exit()` included.
   * @param tellDropped called when the reader reads again: writes here how many lines it has missed
   */
  constructor(target: SinkTarget, tellDropped: (lines: number) => void) {
    this.#target = target;
    this.#tellDropped = tellDropped;
    process.once("exit", () => this.flush());
  }

  get isTTY(): boolean {
    return this.#target.isTTY === true;
  }

  /** Writes at once after a quiet moment, else with what comes until the moment is over. Whole lines only. */
  write(text: string): void {
    // One gap, of which the reader is told, rather than many.
    if (this.#dropped > 0 || !this.#takes(text)) {
      this.#drop(text);
      return;
    }
    if (this.#timer === undefined) this.#next();
  }

  /** Writes what has come. */
  flush(): void {
    const text = this.#text;
    this.#text = "";
    this.#bytes = 0;
    if (text !== "") this.#target.write(text);
  }

  #takes(text: string): boolean {
    const { writableLength = 0, writableNeedDrain = false } = this.#target;
    const bytes = Buffer.byteLength(text);
    // Who keeps up gets all of a busy moment.
    if (writableNeedDrain && writableLength + this.#bytes + bytes > MOST_UNREAD_BYTES) return false;
    this.#text += text;
    this.#bytes += bytes;
    return true;
  }

  #drop(text: string): void {
    if (this.#dropped === 0) {
      this.flush();
      this.#target.once?.("drain", () => {
        const lines = this.#dropped;
        this.#dropped = 0;
        this.#tellDropped(lines);
      });
    }
    this.#dropped += text.split("\n").length - 1;
  }

  #next(): void {
    this.#timer = undefined;
    if (this.#text === "") return;
    this.flush();
    this.#timer = setTimeout(() => this.#next(), MOMENT_MS).unref();
  }
}
