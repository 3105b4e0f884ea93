/**
 * What the person at the terminal, or the program that started us, sees.
 *
 * With `--json` events are JSON lines on stdout; without, stdout has the URL alone. Everything for people goes to stderr.
 * Nothing here decides anything, and no secret ever comes here.
 */
import { styleText } from "node:util";
import type { AgentEvent, RequestEvent } from "../events.ts";
import { showBytes, showMs } from "../config/duration.ts";

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
  /** The service that all of it is about: every event says so. */
  readonly service?: string;
  /** What every line for a person begins with. */
  readonly label?: string;
}

type Style = Parameters<typeof styleText>[0];

export class Log {
  readonly #options: LogOptions;
  /** Whether the last line on the terminal is one that the next may overwrite. */
  readonly #screen: { live: boolean };

  constructor(options: LogOptions, screen = { live: false }) {
    this.#options = options;
    this.#screen = screen;
  }

  /** The same log for what is about one service. `label` tells its lines from those of others; "" where there are none. */
  of(service: string, label: string): Log {
    return new Log({ ...this.#options, service, label }, this.#screen);
  }

  /** Reports what happened: a JSON line for a program, and a line for a person where the event has one. */
  event(event: AgentEvent): void {
    const { json, stdout, now, service } = this.#options;
    if (json) {
      const { event: name, ...fields } = event;
      const about = service === undefined ? {} : { service };
      stdout.write(`${JSON.stringify({ event: name, at: now(), ...about, ...fields })}\n`);
    }
    this.#tell(event);
  }

  /** The one piece of data on stdout, unless events go there. On a terminal that shows stderr too, it is in the text already. */
  url(url: string): void {
    const { json, stdout, stderr } = this.#options;
    if (json || (stdout.isTTY === true && stderr.isTTY === true)) return;
    stdout.write(`${url}\n`);
  }

  /** A line for a person. */
  say(text: string): void {
    this.#options.stderr.write(`${this.#clear()}${this.#label()}${text}\n`);
  }

  /** A labelled line, as in a status block. */
  field(label: string, value: string): void {
    this.say(
      `  ${this.#paint("green", "➜")}  ${this.#paint("bold", label.padEnd(8))}${this.#paint("cyan", value)}`,
    );
  }

  /** A line that matters less than the others. */
  note(text: string): void {
    this.say(this.#paint("dim", text));
  }

  /** A line that is overwritten by whatever comes next; a line like any other where there is no terminal. */
  live(text: string): void {
    const { stderr } = this.#options;
    if (stderr.isTTY !== true) {
      this.say(text);
      return;
    }
    stderr.write(`${this.#clear()}${this.#label()}${text}`);
    this.#screen.live = true;
  }

  /** What a person reads of an event. */
  #tell(event: AgentEvent): void {
    switch (event.event) {
      case "request":
        this.say(this.#request(event));
        break;
      case "connected":
        this.#connected(event);
        break;
      case "disconnected":
        this.#disconnected(event);
        break;
      case "resumed":
        this.say(
          `connected again, rtt ${showMs(event.rttMs)}, ${requests(event.streams)} in flight went on`,
        );
        break;
      case "shards":
        this.say(`the service is spread over ${event.shards} objects`);
        break;
      case "replaced":
        this.say("another agent has taken over with --replace");
        break;
      case "draining":
        if (event.inFlight === 0) break;
        this.say(
          `draining: ${requests(event.inFlight)} in flight, up to ${showMs(event.graceMs)} (Ctrl-C again to stop now)`,
        );
        break;
      case "warning":
        this.say(`${this.#paint("yellow", "warning:")} ${event.message} (${event.code})`);
        break;
      case "error":
        this.say(`${this.#paint("red", "error:")} ${event.message} (${event.code})`);
        break;
      case "listening":
        break;
    }
  }

  #connected(event: AgentEvent & { readonly event: "connected" }): void {
    const { url, origin, rttMs, concurrency, again, shard = 0 } = event;
    if (again) {
      this.say(`connected again, rtt ${showMs(rttMs)}`);
      return;
    }
    if (shard > 0) return;
    this.url(url);
    this.field("Public", url);
    this.field("Origin", origin);
    this.say(`connected, rtt ${showMs(rttMs)}, up to ${concurrency} requests at once`);
    this.note(
      `Everyone whom the edge lets through reaches ${origin}; without VISITORS=token that is everyone who knows the URL.`,
    );
  }

  #label(): string {
    const { label = "" } = this.#options;
    return label === "" ? "" : `${this.#paint("magenta", label)}  `;
  }

  #clear(): string {
    if (!this.#screen.live) return "";
    this.#screen.live = false;
    return "\r\u001b[2K";
  }

  #disconnected({ code, reason, retryMs }: AgentEvent & { readonly event: "disconnected" }): void {
    const why = reason === "" ? code : `${reason} (${code})`;
    const what = code === "edge-unreachable" ? "cannot reach the edge" : "disconnected";
    this.live(`${this.#paint("yellow", what)}: ${why}; next try in ${showMs(retryMs)}`);
  }

  #request({ method, path, status, ms, bytesOut, outcome, reason }: RequestEvent): string {
    const clock = new Date(this.#options.now()).toTimeString().slice(0, 8);
    const shown = path.length > 60 ? `${path.slice(0, 59)}…` : path;
    const colour: Style = status >= 500 ? "red" : status >= 400 ? "yellow" : "green";
    const fields = [
      this.#paint("dim", clock),
      method.padEnd(6),
      shown.padEnd(28),
      this.#paint(colour, String(status)),
      showMs(ms).padStart(8),
      showBytes(bytesOut).padStart(9),
    ];
    if (outcome !== "ok") {
      const why = reason === undefined ? outcome : `${outcome}: ${reason}`;
      fields.push(this.#paint("red", why));
    }
    return fields.join("  ");
  }

  #paint(style: Style, text: string): string {
    if (this.#options.stderr.isTTY !== true) return text;
    return styleText(style, text, { stream: process.stderr });
  }
}

function requests(count: number): string {
  return count === 1 ? "1 request" : `${count} requests`;
}
