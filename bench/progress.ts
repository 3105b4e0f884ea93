/**
 * What is being measured now: one line that changes at a terminal, a line for each row elsewhere. It writes to stderr.
 */
export class ProgressLine {
  readonly #begin = performance.now();
  #last = "";

  /** `what` is "subject · row · system (round/rounds)". */
  show(what: string): void {
    const seconds = Math.round((performance.now() - this.#begin) / 1000);
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[K${clock}  ${what}`);
      return;
    }
    const row = what.split(" · ").slice(0, 2).join(" · ");
    if (row !== this.#last) process.stderr.write(`${clock}  ${row}\n`);
    this.#last = row;
  }

  /** Something to be read whatever comes after it. */
  say(line: string): void {
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}\n` : `${line}\n`);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }
}
