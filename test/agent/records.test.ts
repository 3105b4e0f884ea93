/** `--log-format json` and `logfmt`, and `--log-level`. */
import { expect, test } from "vitest";
import { levelOf, levels } from "../../agent/terminal/levels.ts";
import { Log } from "../../agent/terminal/log.ts";
import { logfmt, RecordVoice } from "../../agent/terminal/records.ts";
import { Program } from "../support/program.ts";

function opened(format: "json" | "logfmt", level: (typeof levels)[number] = "info") {
  let [out, err] = ["", ""];
  const stderr = { write: (text: string) => (err += text) };
  const now = () => Date.UTC(2026, 0, 2, 3, 4, 5, 6);
  const voice = new RecordVoice(stderr, format, now);
  const stdout = { write: (text: string) => (out += text) };
  const log = new Log({ json: false, stdout, stderr, now, voice, level });
  return { log, out: () => out, err: () => err };
}

test("json: an event and a sentence are an object a line, with time, level and service", () => {
  const { log, out, err } = opened("json");
  const shop = log.of("shop", "");
  shop.event({ event: "disconnected", code: "agent-lost", reason: 'a "b"', retryMs: 5 });
  shop.say("stopped");
  const time = "2026-01-02T03:04:05.006Z";
  expect(
    err()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual([
    {
      time,
      level: "warn",
      event: "disconnected",
      service: "shop",
      code: "agent-lost",
      reason: 'a "b"',
      retryMs: 5,
    },
    { time, level: "info", service: "shop", message: "stopped" },
  ]);
  expect(out()).toBe("");
});

test("logfmt: the same as key=value, quoted where it must be", () => {
  const { log, err } = opened("logfmt");
  log.event({ event: "error", code: "failed", message: "nobody\nis there" });
  expect(err()).toBe(
    'time=2026-01-02T03:04:05.006Z level=error event=error code=failed message="nobody\\nis there"\n',
  );
  expect(logfmt({ a: 1, b: true, c: undefined, d: "x=y", e: "", f: "\u001b[2J" })).toBe(
    'a=1 b=true d="x=y" e="" f="\\u001b[2J"',
  );
});

test("each level tells what matters that much and more", () => {
  const request = {
    event: "request",
    id: "r",
    method: "GET",
    path: "/",
    status: 200,
    ms: 1,
    bytesIn: 0,
    bytesOut: 0,
    outcome: "ok",
  } as const;
  const told = Object.fromEntries(
    levels.map((level) => {
      const { log, err } = opened("json", level);
      log.note("a note");
      log.event(request);
      log.event({ ...request, outcome: "origin-refused", status: 502 });
      log.event({ event: "error", code: "failed", message: "." });
      return [level, err().split("\n").length - 1];
    }),
  );
  expect(told).toEqual({ debug: 4, info: 3, warn: 2, error: 1, silent: 0 });
  // A visitor who leaves is nobody's fault.
  expect(levelOf({ ...request, outcome: "cancelled" })).toBe("info");
});

test.each([
  ["flag", ["--log-format", "json"], {}],
  ["variable", [], { AGENT_LOG_FORMAT: "json" }],
])("by a %s it is what agent connect says", async (_, flags, env) => {
  const program = Program.agent(["connect", "-e", "http://127.0.0.1:1", "-s", "a", ...flags], {
    env,
  });
  expect(await program.exit()).toMatchObject({ code: 2 });
  const lines = program.stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  expect(lines.at(-1)).toMatchObject({ level: "error", event: "error", code: "usage" });
});

test("silent is silent, and the exit code still says it", async () => {
  const program = Program.agent(["connect", "--log-level", "silent"]);
  expect(await program.exit()).toEqual({ code: 2, signal: null });
  expect(program.stderr).toBe("");
});

test("what a terminal would act on is escaped in json, in logfmt and in --json", () => {
  const reason = "\u009b2J\u0085\u007f\u202e\u061c\u001b[2J";
  const event = { event: "disconnected", code: "agent-lost", reason, retryMs: 5 } as const;
  for (const format of ["json", "logfmt"] as const) {
    const { log, err } = opened(format);
    log.event(event);
    expect(err()).toContain(String.raw`\u009b2J\u0085\u007f\u202e\u061c\u001b[2J`);
  }
  let out = "";
  const stdout = { write: (text: string) => (out += text) };
  new Log({ json: true, stdout, stderr: { write: () => true }, now: () => 0 }).event(event);
  expect(out).toContain(String.raw`\u009b2J\u0085\u007f\u202e\u061c\u001b[2J`);
  expect(JSON.parse(out)).toMatchObject({ reason });
});
