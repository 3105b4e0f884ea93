import { expect, test } from "vitest";
import type { RequestEvent } from "../../agent/events.ts";
import { levelOf } from "../../agent/terminal/levels.ts";
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
  id: "4a51984a-da27-7",
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

test("a round trip is an event of --json and nothing that people or collectors of logs read", () => {
  const { log, out, err } = open(true);
  log.event({ event: "roundTrip", rttMs: 18.2 });
  expect(out.text).toBe('{"event":"roundTrip","at":1000,"rttMs":18.2}\n');
  expect(err.text).toBe("");
  expect(levelOf({ event: "roundTrip", rttMs: 18.2 })).toBe("debug");
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

test("every try to connect again is a line", () => {
  const lost = { event: "disconnected", code: "agent-lost", reason: "gone", retryMs: 300 } as const;
  const { log, err } = open(false);
  log.event(lost);
  log.event(lost);
  expect(err.text).toBe("disconnected: gone (agent-lost); next try in 300 ms\n".repeat(2));
});

test("that there is no room is said once, until there was", () => {
  const code = "too-many-agents";
  const lost = { event: "disconnected", code, reason: "full", retryMs: 30_000 } as const;
  const { log, err } = open(false);
  log.event(lost);
  log.event(lost);
  log.event({ ...lost, code: "edge-unreachable", reason: "gone" });
  log.event(lost);
  const said = "not let in: full (too-many-agents); next try in 30.0 s\n";
  const gone = "cannot reach the edge: gone (edge-unreachable); next try in 30.0 s\n";
  expect(err.text).toBe(said + gone);
  const back = {
    event: "connected",
    url: "https://edge.example/send/shop/",
    service: "shop",
  } as const;
  log.event({
    ...back,
    session: "s",
    rttMs: 1,
    origin: "http://localhost:1",
    concurrency: 1,
    again: true,
  });
  log.event(lost);
  expect(err.text.endsWith(said)).toBe(true);
});

test("nothing but a terminal gets control sequences", () => {
  const { log, err } = open(false);
  log.field("Public", "https://edge.example/");
  log.note("a note");
  log.say("an agent connected (\u001b[2J\u009b2J)");
  log.live("connecting to\u001b[2J");
  log.event({ event: "error", code: "usage", message: "wrong" });
  // oxlint-disable-next-line no-control-regex -- that is what must not be there
  expect(err.text).not.toMatch(/[\u001b\u009b]/);
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

test("what went wrong is named by its code, with where more is written, at the end of the line", () => {
  const { log, err } = open(false);
  log.event({ event: "error", code: "unauthorized", message: "The edge refused the token." });
  log.event({ event: "warning", code: "insecure-origin", message: "Anybody may answer." });
  expect(err.text).toBe(
    "error: The edge refused the token. (unauthorized, docs/errors.md#unauthorized)\n" +
      "warning: Anybody may answer. (insecure-origin, docs/errors.md#insecure-origin)\n",
  );
});
