/** The output of another program, a line at a time, so that it goes above the foot of a screen. */
import type { Sink } from "./log.ts";

/** The rest of a line that has begun may come within this; then it is shown as it is. */
const REST_WITHIN_MS = 100;

export class LineSink implements Sink {
  readonly isTTY = true;
  readonly #print: (lines: readonly string[]) => void;
  #text = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(print: (lines: readonly string[]) => void) {
    this.#print = print;
  }

  write(text: string): void {
    clearTimeout(this.#timer);
    const lines = (this.#text + text).split("\n");
    this.#text = lines.pop() ?? "";
    if (lines.length > 0) this.#print(lines.map(visible));
    if (this.#text !== "") this.#timer = setTimeout(() => this.write("\n"), REST_WITHIN_MS).unref();
  }
}

/** What a terminal would show of a line that was written over: the last of it. */
function visible(line: string): string {
  const bare = line.endsWith("\r") ? line.slice(0, -1) : line;
  return bare.slice(bare.lastIndexOf("\r") + 1);
}
