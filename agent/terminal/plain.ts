/** Lines for people where there is no screen: a file, a pipe, a terminal that only prints. Nothing is ever taken back. */
import { showMs } from "../config/duration.ts";
import type { AgentEvent } from "../events.ts";
import type { Level } from "./levels.ts";
import { exposure, field, lost, originRemark, requestLines, told } from "./lines.ts";
import type { Sink } from "./log.ts";
import { type Line, type Paint, paintLine, shown } from "./text.ts";
import type { About, Voice } from "./voice.ts";

export class PlainVoice implements Voice {
  readonly #sink: Sink;
  readonly #paint: Paint;
  readonly #now: () => number;
  /** What was found out about each service's origin before it was connected. */
  readonly #origins = new Map<string, AgentEvent & { readonly event: "origin" }>();
  readonly #connected = new Set<string>();
  /** The services that have been told that there is no room for them, and still wait for it. */
  readonly #waiting = new Set<string>();

  constructor(sink: Sink, paint: Paint, now: () => number) {
    this.#sink = sink;
    this.#paint = paint;
    this.#now = now;
  }

  header(text: string): void {
    this.#sink.write(`${text}\n`);
  }

  event(event: AgentEvent, about: About): void {
    switch (event.event) {
      case "request":
        this.#print(requestLines(event, this.#now(), Number.POSITIVE_INFINITY), about);
        break;
      case "connected":
        this.#waiting.delete(about.label);
        this.#print(this.#block(event, about), about);
        break;
      case "disconnected":
        // That may last for days, and nothing new is learned at each try.
        if (event.code === "too-many-agents") {
          if (this.#waiting.has(about.label)) break;
          this.#waiting.add(about.label);
        }
        this.#print([[...lost(event), [`; next try in ${showMs(event.retryMs)}`]]], about);
        break;
      case "origin":
        if (this.#connected.has(about.label)) this.#print(told(event), about);
        this.#origins.set(about.label, event);
        break;
      default:
        this.#print(told(event), about);
    }
  }

  say(text: string, level: Level, about: About): void {
    const said = shown(text);
    this.#print([level === "debug" ? [[said, "dim"]] : [[said]]], about);
  }

  block(text: string): void {
    this.#sink.write(`${text}\n`);
  }

  field(label: string, value: string, about: About): void {
    this.#print([field(label, value)], about);
  }

  live(text: string, about: About): void {
    this.#print([[[shown(text)]]], about);
  }

  #block(event: AgentEvent & { readonly event: "connected" }, { label }: About): Line[] {
    const { url, origin, rttMs, concurrency, again, shard = 0, visitors } = event;
    if (again) return [[[`connected again, rtt ${showMs(rttMs)}`]]];
    if (shard > 0) return [[[`connected to object ${shard}, rtt ${showMs(rttMs)}`, "dim"]]];
    this.#connected.add(label);
    return [
      field("Public", url),
      field("Origin", origin, originRemark(this.#origins.get(label))),
      [[`connected, rtt ${showMs(rttMs)}, up to ${concurrency} requests at once`]],
      exposure(url, origin, visitors),
    ];
  }

  #print(lines: readonly Line[], { label }: About): void {
    let text = "";
    for (const line of lines) {
      const before: Line = label === "" ? [] : [[label, "magenta"], ["  "]];
      text += `${paintLine([...before, ...line], this.#paint)}\n`;
    }
    if (text !== "") this.#sink.write(text);
  }
}
