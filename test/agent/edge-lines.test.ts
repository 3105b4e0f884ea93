/** The edge's own log at the terminal of whoever runs it. */
import { expect, test } from "vitest";
import { readEdgeLine, tellEdgeLine } from "../../agent/edge-here/edge-lines.ts";
import { Log } from "../../agent/terminal/log.ts";

/** What the line is told as: on stdout with --json, and to people. */
function told(line: object): { out: string; err: string } {
  const paper = { out: "", err: "" };
  const log = new Log({
    json: true,
    stdout: { write: (text) => void (paper.out += text) },
    stderr: { write: (text) => void (paper.err += text) },
    now: () => 1000,
  });
  const known = readEdgeLine(JSON.stringify(line));
  if (known !== undefined) tellEdgeLine(known, log);
  return paper;
}

test("a fault is an error event with its code and its service", () => {
  const fault = {
    event: "fault",
    service: "shop",
    code: "overloaded",
    where: "object",
    message: "too many",
  };
  expect(JSON.parse(told(fault).out)).toEqual({
    event: "error",
    at: 1000,
    code: "overloaded",
    message: "too many (service shop)",
  });
});

test("a fault of a newer edge, with a code that is not known, is an error too", () => {
  const { out } = told({ event: "fault", code: "new-code", message: "broken" });
  expect(JSON.parse(out)).toMatchObject({ code: "internal-error", message: "broken" });
});

test.each([
  [
    { event: "agent-connected", resumed: false, software: "sluice-agent/0.1.0" },
    "shop: an agent connected (sluice-agent/0.1.0)",
  ],
  [
    { event: "agent-connected", resumed: true, software: "sluice-agent/0.1.0" },
    "shop: an agent is back (sluice-agent/0.1.0)",
  ],
  [
    { event: "agent-disconnected", code: "agent-lost", streams: 3 },
    "shop: an agent's connection broke with 3 in flight; waiting for it",
  ],
  [{ event: "agent-gone", code: "shutting-down" }, "shop: an agent is gone (shutting-down)"],
])("%j is a line", (line, text) => {
  expect(told({ ...line, service: "shop" })).toEqual({ out: "", err: `${text}\n` });
});

test.each([
  "",
  "kj/async-unix.c++:123: failed",
  '{"event":"fault"',
  '{"event":"other"}',
  '{"event":1}',
])("%j is workerd's own word", (text) => {
  expect(readEdgeLine(text)).toBeUndefined();
});
