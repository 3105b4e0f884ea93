/**
 * The checks as a person reads them, or as lines of JSON. Where there is a terminal, the check under way is shown too.
 */
import type { Sink } from "../terminal/log.ts";
import { type Paint, shown, type Style } from "../terminal/text.ts";
import type { Status } from "./check.ts";
import { exitOf, type Result, summaryOf, type Witness } from "./examine.ts";
import type { Secrets } from "./secrets.ts";

export interface PrinterOptions {
  readonly json: boolean;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly secrets: Secrets;
  readonly paint: Paint;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const TITLE_CHARS = 14;
const TARGET_CHARS = 34;

const signs: Record<Status, { readonly text: string; readonly style: Style }> = {
  ok: { text: "[ OK ]", style: "green" },
  warn: { text: "[WARN]", style: "yellow" },
  fail: { text: "[FAIL]", style: "red" },
  skip: { text: "[SKIP]", style: "dim" },
};

export class Printer {
  readonly #options: PrinterOptions;
  /** The table's: stdout, unless that has the JSON. */
  readonly #sink: Sink;
  /** Checks in a row that were left out because of one and the same failure: they become one line. */
  #leftOut: Result[] = [];

  constructor(options: PrinterOptions) {
    this.#options = options;
    this.#sink = options.json ? options.stderr : options.stdout;
  }

  /** What is to be told of one service's checks. `heading` tells it from others; "" where there are none. */
  witness(service: string, heading: string): Witness {
    if (heading !== "") this.#sink.write(`\n${this.#paint("bold", heading)}\n`);
    return {
      begins: (title, target) => this.#begins(title, target),
      ends: (result) => this.#ends(service, result),
    };
  }

  summary(service: string, results: readonly Result[]): void {
    const exit = exitOf(results);
    const count = (status: Status): number =>
      results.filter(({ finding }) => finding.status === status).length;
    const failed = results
      .filter(({ finding }) => finding.status === "fail")
      .map(({ name }) => name);
    const message = this.#shown(summaryOf(results));
    this.#json("summary", {
      service,
      ok: count("ok"),
      warn: count("warn"),
      fail: count("fail"),
      skip: count("skip"),
      failed,
      exit,
      message,
    });
    this.#tellLeftOut();
    const style = failed.length > 0 ? "red" : count("warn") > 0 ? "yellow" : "green";
    this.#sink.write(`\n${this.#paint(style, message)}\n`);
  }

  #begins(title: string, target: string): void {
    this.#tellLeftOut();
    if (this.#sink.isTTY !== true) return;
    this.#sink.write(`${this.#row(title, target, this.#paint("dim", " …    "))}`);
  }

  #ends(service: string, result: Result): void {
    const { name, title, target, finding, ms } = result;
    const { status, action, data } = finding;
    this.#json("check", {
      service,
      check: name,
      target,
      status,
      details: finding.details,
      action,
      ms,
      data,
    });
    if (result.because !== undefined) {
      this.#leftOut.push(result);
      return;
    }
    const clear = this.#sink.isTTY === true ? "\r\u001b[2K" : "";
    this.#tell(`${clear}${this.#row(title, this.#shown(target), this.#sign(status))}`, result);
    if (action !== undefined) {
      this.#sink.write(
        `${" ".repeat(TITLE_CHARS + 1)}${this.#paint("cyan", "→")} ${this.#shown(action)}\n`,
      );
    }
  }

  #tellLeftOut(): void {
    const [first, ...others] = this.#leftOut;
    this.#leftOut = [];
    if (first === undefined) return;
    const last = others.at(-1);
    const titles = last === undefined ? first.title : `${first.title} … ${last.title}`;
    const row = titles.padEnd(TITLE_CHARS + 1 + TARGET_CHARS);
    this.#tell(`${row} ${this.#sign("skip")}`, first);
  }

  #tell(row: string, { finding }: Result): void {
    const details = this.#shown(finding.details);
    const told = finding.status === "skip" ? this.#paint("dim", details) : details;
    this.#sink.write(`${row} ${told}\n`);
  }

  #sign(status: Status): string {
    return this.#paint(signs[status].style, signs[status].text);
  }

  #row(title: string, target: string, sign: string): string {
    const fits = target.length > TARGET_CHARS ? `${target.slice(0, TARGET_CHARS - 1)}…` : target;
    return `${title.padEnd(TITLE_CHARS)} ${fits.padEnd(TARGET_CHARS)} ${sign}`;
  }

  #json(event: "check" | "summary", fields: Readonly<Record<string, unknown>>): void {
    const { json, stdout, now, secrets } = this.#options;
    if (json) stdout.write(`${secrets.stringify({ event, at: now(), ...fields })}\n`);
  }

  #paint(style: Style, text: string): string {
    return this.#options.paint(style, text);
  }

  /** What others said may hold anything. */
  #shown(text: string): string {
    return shown(this.#options.secrets.hide(text));
  }
}
