import { expect, test } from "vitest";
import type { RequestEvent } from "../../agent/events.ts";
import { Log } from "../../agent/terminal/log.ts";

class Paper {
  readonly isTTY: boolean;
  text = "";

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
  }
}

const request: RequestEvent = {
  event: "request",
  method: "GET",
  path: "/products?page=2",
  status: 200,
  ms: 14.2,
  bytesIn: 0,
  bytesOut: 8100,
  outcome: "ok",
};

function open(json: boolean, isTTY = false): { log: Log; out: Paper; err: Paper } {
  const [out, err] = [new Paper(isTTY), new Paper(isTTY)];
  return { log: new Log({ json, stdout: out, stderr: err, now: () => 1000 }), out, err };
}

test("with --json every event is one line of JSON on stdout, its name and time first", () => {
  const { log, out } = open(true);
  log.event({ event: "draining", inFlight: 0, graceMs: 1000 });
  log.event(request);
  const [draining, finished, ...rest] = out.text.split("\n");
  expect(draining).toBe('{"event":"draining","at":1000,"inFlight":0,"graceMs":1000}');
  expect(JSON.parse(finished ?? "")).toEqual({ at: 1000, ...request });
  expect(rest).toEqual([""]);
});

test("without --json stdout has the URL and nothing else", () => {
  const { log, out, err } = open(false);
  log.event({ event: "draining", inFlight: 0, graceMs: 1000 });
  log.event(request);
  log.say("something");
  log.url("https://edge.example/send/shop/");
  expect(out.text).toBe("https://edge.example/send/shop/\n");
  expect(err.text).toContain("something\n");
});

test("with --json the URL is only in the events", () => {
  const { log, out } = open(true);
  log.url("https://edge.example/send/shop/");
  expect(out.text).toBe("");
});

test("a finished request is one line with method, path, status, time and size", () => {
  const { log, err } = open(false);
  log.event(request);
  expect(err.text).toMatch(/^\d\d:\d\d:\d\d {2}GET {3,}\/products\?page=2 +200 +14 ms +8\.1 kB\n$/);
});

test("a failed request says why, and a long path is cut", () => {
  const { log, err } = open(false);
  const path = `/${"p".repeat(200)}`;
  const reason = "connect ECONNREFUSED 127.0.0.1:4000";
  log.event({ ...request, path, status: 502, outcome: "origin-refused", reason });
  expect(err.text).toContain("502");
  expect(err.text).toContain(`origin-refused: ${reason}`);
  expect(err.text.length).toBeLessThan(200);
});

test("on a terminal a retry line is overwritten by the next, elsewhere each has its own", () => {
  const lost = { event: "disconnected", code: "agent-lost", reason: "gone", retryMs: 300 } as const;
  const terminal = open(false, true);
  terminal.log.event(lost);
  terminal.log.event(lost);
  terminal.log.say("connected again");
  expect(terminal.err.text.split("\n")).toHaveLength(2);
  expect(terminal.err.text.split("\r\u001b[2K")).toHaveLength(3);
  terminal.log.event({ ...lost, code: "edge-unreachable" });
  expect(terminal.err.text).toMatch(/cannot reach the edge\S*: gone/);
  const file = open(false);
  file.log.event(lost);
  file.log.event(lost);
  expect(file.err.text).toBe("disconnected: gone (agent-lost); next try in 300 ms\n".repeat(2));
});

test("what went wrong is named by its code at the end of the line, so that it can be looked up", () => {
  const { log, err } = open(false);
  log.event({ event: "error", code: "unauthorized", message: "The edge refused the token." });
  log.event({ event: "warning", code: "not-encrypted", message: "Anyone can read it." });
  expect(err.text).toBe(
    "error: The edge refused the token. (unauthorized)\nwarning: Anyone can read it. (not-encrypted)\n",
  );
});

test("nothing but a terminal gets control sequences", () => {
  const { log, err } = open(false);
  log.field("Public", "https://edge.example/");
  log.note("a note");
  log.event({ event: "error", code: "usage", message: "wrong" });
  expect(err.text).not.toContain("\u001b");
});

test("the log of one service says so in every event, and in every line when there are several", () => {
  const { log, out, err } = open(true);
  const [shop, api] = [log.of("shop", "shop"), log.of("api", "api ")];
  shop.event({ event: "draining", inFlight: 0, graceMs: 1000 });
  api.event(request);
  api.say("something");
  log.of("alone", "").say("else");
  const [draining = "", finished = ""] = out.text.split("\n");
  expect(draining).toBe(
    '{"event":"draining","at":1000,"service":"shop","inFlight":0,"graceMs":1000}',
  );
  expect(JSON.parse(finished)).toEqual({ at: 1000, service: "api", ...request });
  expect(err.text).toMatch(/^api {3}.*\/products/);
  expect(err.text).toContain("\napi   something\nelse\n");
});

test("a line that one service left open is overwritten by the next of another", () => {
  const { log, err } = open(false, true);
  log.of("shop", "shop").live("connecting");
  log.of("api", "api").say("connected");
  expect(err.text).toContain("connecting\r\u001b[2K");
});
