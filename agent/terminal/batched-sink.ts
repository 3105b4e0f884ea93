/**
 * Lines that come within a moment are written at once: a write to a pipe or a terminal is a system call that blocks,
 * and at thousands of requests a second it was a quarter of the agent's work.
 */
import type { Sink } from "./log.ts";

/** Nobody who reads along notices this; fifty writes a second cost nothing. */
const MOMENT_MS = 20;

export class BatchedSink implements Sink {
  readonly #target: Sink;
  #text = "";
  #timer: NodeJS.Timeout | undefined;

  /** What is written when the process ends is not lost: `process.exit()` included. */
  constructor(target: Sink) {
    this.#target = target;
    process.once("exit", () => this.flush());
  }

  get isTTY(): boolean {
    return this.#target.isTTY === true;
  }

  /** Writes at once after a quiet moment, else with what comes until the moment is over. */
  write(text: string): void {
    this.#text += text;
    if (this.#timer === undefined) this.#next();
  }

  /** Writes what has come. */
  flush(): void {
    const text = this.#text;
    this.#text = "";
    if (text !== "") this.#target.write(text);
  }

  #next(): void {
    this.#timer = undefined;
    if (this.#text === "") return;
    this.flush();
    this.#timer = setTimeout(() => this.#next(), MOMENT_MS).unref();
  }
}
