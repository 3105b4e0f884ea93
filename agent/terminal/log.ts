/**
 * What the person at the terminal, or the program that started us, sees.
 *
 * With `--json` events are JSON lines on stdout; without, stdout has the URL alone. Everything for people goes to stderr,
 * by a voice that suits the place. Nothing here decides anything, and no secret ever comes here.
 */
import { PROTOCOL } from "../../codec/limits.ts";
import type { AgentEvent } from "../events.ts";
import type { Watch } from "../watch.ts";
import { printableJson } from "./json.ts";
import { isTold, type Level, levelOf } from "./levels.ts";
import { PlainVoice } from "./plain.ts";
import { plain } from "./text.ts";
import type { About, Voice } from "./voice.ts";

/** A place to write to: a terminal or not. */
export interface Sink {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface LogOptions {
  readonly json: boolean;
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Who speaks to people, on stderr; plain lines when undefined. */
  readonly voice?: Voice;
  /** What matters less is not told to people; "info" when undefined. */
  readonly level?: Level;
}

export class Log {
  readonly #options: LogOptions;
  readonly #voice: Voice;
  readonly #level: Level;
  readonly #about: About;

  constructor(options: LogOptions, about: About = { service: undefined, label: "" }) {
    const { voice, stderr, now, level = "info" } = options;
    this.#voice = voice ?? new PlainVoice(stderr, plain, now);
    this.#options = { ...options, voice: this.#voice };
    this.#level = level;
    this.#about = about;
  }

  /** The same log for what is about one service. `label` tells its lines from those of others; "" where there are none. */
  of(service: string, label: string): Log {
    return new Log(this.#options, { service, label });
  }

  /** Reports what happened: a JSON line for a program, and a line for a person where the event has one. */
  event(event: AgentEvent): void {
    const { json, stdout, now } = this.#options;
    if (json) {
      stdout.write(eventLine(now(), event, this.#about.service));
    }
    if (event.event === "connected" && !event.again && (event.shard ?? 0) === 0) {
      this.url(event.url);
    }
    this.#voice.sees?.(event);
    if (this.#tells(levelOf(event))) this.#voice.event(event, this.#about);
  }

  /** The one piece of data on stdout, unless events go there. On a terminal that shows stderr too, it is in the text already. */
  url(url: string): void {
    const { json, stdout, stderr } = this.#options;
    const seen = stdout.isTTY === true && stderr.isTTY === true && this.#tells("info");
    if (json || seen) return;
    stdout.write(`${url}\n`);
  }

  /** Who speaks, as the first line of a command that goes on. */
  header(version: string): void {
    if (!this.#tells("info")) return;
    this.#voice.header(`agent ${version}  protocol ${PROTOCOL.replace("sluice.v", "")}`);
  }

  /** A line for a person. */
  say(text: string): void {
    if (this.#tells("info")) this.#voice.say(text, "info", this.#about);
  }

  /** A labelled line, as in a status block. */
  field(label: string, value: string): void {
    if (this.#tells("info")) this.#voice.field(label, value, this.#about);
  }

  /** Text that goes out as it is laid out, as an example to copy. */
  block(text: string): void {
    if (this.#tells("info")) this.#voice.block(text);
  }

  /** A line that matters less than the others. */
  note(text: string): void {
    if (this.#tells("debug")) this.#voice.say(text, "debug", this.#about);
  }

  /** What is being done right now; where nothing can be taken back, a line like any other. */
  live(text: string): void {
    if (this.#tells("info")) this.#voice.live(text, this.#about);
  }

  /** Who shows exchanges while they last; undefined where nobody would see them. */
  get watch(): Watch | undefined {
    return this.#tells("info") ? this.#voice.watch?.(this.#about) : undefined;
  }

  #tells(level: Level): boolean {
    return isTold(level, this.#level);
  }
}

/** An event as `--json` has it: a line. */
export function eventLine(at: number, event: AgentEvent, service?: string): string {
  const { event: name, ...fields } = event;
  const about = service === undefined ? {} : { service };
  return `${printableJson({ event: name, at, ...about, ...fields })}\n`;
}
