/**
 * Records for programs that collect logs, on stderr: one JSON object or one line of logfmt each, with time and level.
 *
 * The contract for programs that control the agent is `--json`, on stdout; these say the same events and the sentences
 * beside them.
 */
import type { AgentEvent } from "../events.ts";
import { printableJson } from "./json.ts";
import { type Level, levelOf } from "./levels.ts";
import type { Sink } from "./log.ts";
import type { About, Voice } from "./voice.ts";

export class RecordVoice implements Voice {
  readonly #sink: Sink;
  readonly #now: () => number;
  readonly #format: (record: object) => string;

  constructor(sink: Sink, format: "json" | "logfmt", now: () => number) {
    this.#sink = sink;
    this.#now = now;
    this.#format = format === "json" ? printableJson : logfmt;
  }

  header(message: string): void {
    this.#write("info", { message });
  }

  event(event: AgentEvent, { service }: About): void {
    const { event: name, ...fields } = event;
    this.#write(levelOf(event), { event: name, service, ...fields });
  }

  say(message: string, level: Level, { service }: About): void {
    this.#write(level, { service, message });
  }

  block(): void {}

  field(label: string, value: string, { service }: About): void {
    this.#write("info", { service, message: `${label}: ${value}` });
  }

  live(message: string, { service }: About): void {
    this.#write("info", { service, message });
  }

  #write(level: Level, fields: object): void {
    const time = new Date(this.#now()).toISOString();
    this.#sink.write(`${this.#format({ time, level, ...fields })}\n`);
  }
}

/** `key=value key="a value with spaces"`, as Heroku's and Go's tools read it. What is undefined is left out. */
export function logfmt(record: object): string {
  const pairs: string[] = [];
  for (const [key, value] of Object.entries(record) as [string, unknown][]) {
    if (value === undefined) continue;
    const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
    pairs.push(`${key}=${/^[^\s"=\\\p{C}]+$/u.test(text) ? text : printableJson(text)}`);
  }
  return pairs.join(" ");
}
