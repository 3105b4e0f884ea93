/**
 * The log that was asked for by `--json`, `--log-format`, `--log-level` and `--no-color`, and that this place can bear.
 */
import type { GivenValues } from "../config/given.ts";
import { isOn } from "../config/given.ts";
import { UsageError } from "../config/usage.ts";
import type { AgentEvent } from "../events.ts";
import { BatchedSink } from "./batched-sink.ts";
import { formats } from "./formats.ts";
import { type Level, levels } from "./levels.ts";
import { LiveVoice } from "./live.ts";
import { eventLine, Log } from "./log.ts";
import { PlainVoice } from "./plain.ts";
import { RecordVoice } from "./records.ts";
import { paintFor, plain } from "./text.ts";

/** A log, and the terminal behind it if there is one that can be drawn on. */
export interface OpenLog {
  readonly log: Log;
  readonly live: LiveVoice | undefined;
}

/** @param serves whether there will be anything that lasts. @throws UsageError */
export function openLog(given: GivenValues, serves: boolean): OpenLog {
  const format = oneOf(given, "logFormat", formats) ?? "auto";
  const level: Level = oneOf(given, "logLevel", levels) ?? "info";
  const json = isOn(given["json"]);
  const { stdout, stderr } = process;
  const now = Date.now;
  const noColour = given["color"] !== undefined && !isOn(given["color"]);
  const paint = noColour ? plain : paintFor(stderr);
  const sinks: { readonly stdout: BatchedSink; readonly stderr: BatchedSink } = {
    stdout: new BatchedSink(stdout, (lines) => {
      sinks.stdout.write(eventLine(now(), linesDropped(lines)));
    }),
    stderr: new BatchedSink(stderr, (lines) => {
      voice.event(linesDropped(lines), { service: undefined, label: "" });
    }),
  };
  const records = format === "json" || format === "logfmt";
  const voice = records
    ? new RecordVoice(sinks.stderr, format, now)
    : new PlainVoice(sinks.stderr, paint, now);
  // Events may go to the same terminal, and what reads them through a pipe may write to it too.
  const drawable =
    serves && !records && stderr.isTTY && !json && process.env["TERM"] !== "dumb" && !inCi();
  if (!drawable) {
    return { log: new Log({ json, ...sinks, now, level, voice }), live: undefined };
  }
  const live = new LiveVoice({
    tty: stderr,
    paint,
    now,
    after: (ms, due) => {
      const timer = setTimeout(due, ms).unref();
      return () => clearTimeout(timer);
    },
  });
  stderr.on("resize", () => live.screen.changed());
  process.once("exit", () => live.close());
  return { log: new Log({ json, ...sinks, now, level, voice: live }), live };
}

/** What a reader is told that has stalled. */
function linesDropped(lines: number): AgentEvent {
  const many = lines === 1 ? "1 line was" : `${lines} lines were`;
  const message = `${many} dropped here because nobody read what came before.`;
  return { event: "warning", code: "lines-dropped", message };
}

/** Whether nobody sits before the terminal: every service of the kind sets this. */
export function inCi(): boolean {
  const { CI } = process.env;
  return CI !== undefined && CI !== "" && CI !== "0" && CI !== "false";
}

function oneOf<const Word extends string>(
  given: GivenValues,
  name: string,
  allowed: readonly Word[],
): Word | undefined {
  const value = given[name];
  if (value === undefined) return undefined;
  const found = allowed.find((each) => each === value.text);
  if (found !== undefined) return found;
  const words = `${allowed.slice(0, -1).join(", ")} or ${allowed.at(-1)}`;
  throw new UsageError(`${value.from} must be ${words}, not ${JSON.stringify(value.text)}.`);
}
