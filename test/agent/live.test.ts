/** What a person sees of a tunnel, frame by frame, on wide and narrow terminals. */
import { expect, test } from "vitest";
import type { Exchange } from "../../codec/exchange.ts";
import type { AgentEvent, RequestEvent } from "../../agent/events.ts";
import { LiveVoice } from "../../agent/terminal/live.ts";
import { Log } from "../../agent/terminal/log.ts";
import { coloured, plain } from "../../agent/terminal/text.ts";
import type { ExchangeWatch } from "../../agent/watch.ts";
import { Clock } from "../support/clock.ts";
import { Vt } from "../support/vt.ts";

/** A quarter of a second past a full one, so that nothing is at the edge of two seconds. */
const NOON_MS = new Date(2026, 0, 2, 12, 0, 0, 250).getTime();

function opened(columns = 80, rows = 24, paint = plain) {
  const clock = new Clock(NOON_MS);
  const vt = new Vt(columns, rows);
  const live = new LiveVoice({ tty: vt, paint, now: clock.now, after: clock.after });
  const log = new Log({ json: false, stdout: vt, stderr: vt, now: clock.now, voice: live });
  const tell = (event: AgentEvent): void => {
    log.event(event);
    clock.pass(100);
  };
  return { clock, vt, live, log, tell };
}

function begin(log: Log, path: string, method = "GET"): ExchangeWatch {
  const watch = log.watch?.opened({ request: { method, path } } as Exchange);
  if (watch === undefined) throw new Error("nobody looks");
  return watch;
}

const connected: AgentEvent = {
  event: "connected",
  url: "https://edge.example.workers.dev/send/shop/",
  service: "shop",
  session: "s",
  rttMs: 18.2,
  origin: "http://localhost:4000",
  concurrency: 64,
  again: false,
};

const request: RequestEvent = {
  event: "request",
  id: "r-1",
  method: "GET",
  path: "/products?page=2",
  status: 200,
  ms: 14.2,
  bytesIn: 0,
  bytesOut: 8100,
  outcome: "ok",
};

test("the start: who speaks, what is being tried, and then where everything is and who can reach it", () => {
  const { clock, vt, live, log, tell } = opened();
  live.hint = "press h for help";
  log.header("0.1.0");
  log.live("connecting to wss://edge.example.workers.dev/websocket/shop");
  clock.pass(100);
  expect(vt.text).toBe(
    "  agent 0.1.0  protocol 1\n\nconnecting to wss://edge.example.workers.dev/websocket/shop",
  );
  tell({ event: "origin", origin: "http://localhost:4000", up: true, ms: 2 });
  tell({ event: "inspector", url: "http://127.0.0.1:4040/?t=9f2c" });
  tell({ event: "metrics", url: "http://127.0.0.1:9090/metrics" });
  tell({ ...connected, visitors: "public" });
  expect(vt.text).toBe(`  agent 0.1.0  protocol 1

  ➜  Metrics   http://127.0.0.1:9090/metrics
  ➜  Public    https://edge.example.workers.dev/send/shop/
  ➜  Origin    http://localhost:4000  (up, 2 ms)
  ➜  Inspector http://127.0.0.1:4040/?t=9f2c

  connected, rtt 18 ms, up to 64 requests at once; press h for help
  Anyone who knows the URL can reach http://localhost:4000, and all that it
  answers. VISITORS=token at the edge lets in only who has a token.`);
});

test("who can reach the origin is said as the edge has it", () => {
  const said = (more: Partial<typeof connected>): string => {
    const { vt, tell } = opened(200);
    tell({ ...connected, ...more } as AgentEvent);
    return vt.text.split("\n").at(-1) ?? "";
  };
  expect(said({ visitors: "token" })).toContain("Only who has a visitor token");
  expect(said({})).toContain("Everyone whom the edge lets through");
  expect(said({ url: "http://127.0.0.1:8787/send/shop/" })).toContain("on this machine");
});

test("an origin that does not answer is said in its line, or later in one of its own", () => {
  const down = {
    event: "origin",
    origin: "http://localhost:4000",
    up: false,
    ms: 1,
    reason: "connect ECONNREFUSED 127.0.0.1:4000",
  } as const;
  const before = opened();
  before.tell(down);
  before.tell(connected);
  expect(before.vt.text).toContain("http://localhost:4000  (not answering)");
  const after = opened(120);
  after.tell(connected);
  after.tell(down);
  expect(after.vt.text).toContain("warning: nothing answers at http://localhost:4000");
});

test.each([
  [100, "12:00:00  GET     /products?page=2                          200     14 ms     8.1 kB"],
  [80, "12:00:00  GET     /products?page=2                      200     14 ms     8.1 kB"],
  [60, "12:00:00  GET   /products?page=2                 200   14 ms"],
  [40, "GET  /products?page=2        200   14 ms"],
  [24, "GET  /produ… 200   14 ms"],
])("a request on a terminal of %i columns is one line", (columns, line) => {
  const { vt, tell } = opened(columns);
  tell(request);
  expect(vt.text).toBe(line);
  expect(line.length).toBeLessThanOrEqual(columns);
});

test("a request that failed says why, beside it or below, and again and again is said once", () => {
  const refused = {
    ...request,
    path: "/",
    status: 502,
    outcome: "origin-refused",
    reason: "connect ECONNREFUSED 127.0.0.1:4000",
  } as const;
  const wide = opened(150);
  for (let time = 0; time < 12; time++) wide.tell({ ...refused, ms: time });
  expect(wide.vt.text).toMatch(
    /^12:00:01 {2}GET {5}\/ +502 +11 ms +8\.1 kB {2}origin-refused: connect ECONNREFUSED 127\.0\.0\.1:4000 \(x12\)$/,
  );
  const narrow = opened(40);
  narrow.tell(refused);
  narrow.tell(refused);
  expect(narrow.vt.text).toBe(
    "GET  /                       502   14 ms\n     origin-refused: connect ECONNREFUSE\nD 127.0.0.1:4000 (x2)",
  );
});

test("what comes from outside never reaches the terminal as a control sequence", () => {
  const { vt, log, tell } = opened(120);
  const evil = "/\u001b]0;title\u0007\u001b[2J\r\n\u202e";
  const stream = begin(log, evil);
  stream.started?.();
  tell({ ...request, path: evil, outcome: "origin-invalid", reason: evil });
  const shown = "/\\x1b]0;title\\x07\\x1b[2J\\x0d\\x0a\\u202e";
  expect(vt.text).toContain(`${shown} `);
  expect(vt.text).toContain(`origin-invalid: ${shown}`);
});

test("a stream that lasts counts up below the requests, and is one line at its end", () => {
  const { clock, vt, log, tell } = opened();
  const film = begin(log, "/film.mp4");
  film.started?.();
  film.answered?.({ status: 206, headers: [], length: "unknown" } as never);
  clock.pass(900);
  expect(vt.text).toBe("");
  for (let tick = 0; tick < 20; tick++) {
    film.sent?.(new Uint8Array(100_000));
    clock.pass(100);
  }
  tell({ ...request, path: "/" });
  expect(vt.text.split("\n").map((line) => line.replaceAll(/ +/g, " "))).toEqual([
    expect.stringMatching(/^12:00:03 GET \/ 200 14 ms 8\.1 kB$/),
    expect.stringMatching(/^ ⇄ GET \/film\.mp4 206 ↓ 2\.0 MB \d{3}\.\d kB\/s 3 s$/),
  ]);
  film.ended({ status: 206, bytesIn: 0, bytesOut: 2_000_000, outcome: "ok" });
  tell({ ...request, path: "/film.mp4", status: 206, ms: 3000, bytesOut: 2_000_000 });
  expect(vt.text).not.toContain("⇄");
  expect(vt.text).toMatch(/\/film\.mp4 +206 +3\.0 s +2\.0 MB$/);
});

test("of many streams the oldest are shown, and how many more there are", () => {
  const { clock, vt, log } = opened(40, 20);
  for (let nth = 0; nth < 18; nth++) begin(log, `/events/${nth}`).started?.();
  clock.pass(3000);
  const lines = vt.text.split("\n");
  expect(lines).toHaveLength(6);
  expect(lines[0]).toMatch(/^ {2}⇄ GET {2}\/events… {2}··· +↓ 0 B +[23] s$/);
  expect(lines.at(-1)).toBe("  and 13 more open");
  for (const line of lines) expect(line.length).toBeLessThan(40);
});

test("a stream says when it waits for a slot, and when its visitor is slow", () => {
  const { clock, vt, log } = opened();
  begin(log, "/queued");
  const slow = begin(log, "/slow");
  slow.started?.();
  slow.stalled?.();
  clock.pass(2500);
  expect(vt.text).toMatch(
    /\/queued +··· +waiting +for a slot +2 s\n.*\/slow +··· +↓ 0 B +slow visitor +2 s$/,
  );
});

test("that there is no room is told whole, beside the time until the next try", () => {
  const { clock, vt, tell } = opened(80);
  const reason = `as many agents of "shop" are connected as may be. End one (https://sluice.example.workers.dev/status/shop lists them to who has the token), or start this one with --replace to take over; when one leaves, this one comes in`;
  tell({ event: "disconnected", code: "too-many-agents", reason, retryMs: 30_000 });
  clock.pass(30_000);
  tell({ event: "disconnected", code: "too-many-agents", reason, retryMs: 30_000 });
  expect(vt.text.trim().replaceAll(/\s+/g, " ")).toBe(
    `not let in: ${reason} (too-many-agents); next try in 30 s, 2 times in 30 s`,
  );
});

test("a lost connection is one line that counts down, and in the end one line that says how long it took", () => {
  const { clock, vt, tell } = opened(100);
  tell(connected);
  const before = vt.text;
  const lost = {
    event: "disconnected",
    code: "edge-unreachable",
    reason: "connect ECONNREFUSED 127.0.0.1:8787",
    retryMs: 3000,
  } as const;
  tell(lost);
  const rest = (): string => vt.text.slice(before.length).trim();
  const why = "cannot reach the edge: connect ECONNREFUSED 127.0.0.1:8787 (edge-unreachable); ";
  const flat = (): string => rest().replaceAll(/\s+/g, " ");
  expect(flat()).toBe(`${why}next try in 3 s`);
  clock.pass(1500);
  expect(flat()).toBe(`${why}next try in 2 s`);
  clock.pass(1500);
  expect(flat()).toBe(`${why}trying now`);
  tell({ ...lost, retryMs: 6000 });
  expect(flat()).toBe(`${why}next try in 6 s, 2 times in 3 s`);
  tell({ event: "resumed", session: "s", streams: 3, rttMs: 20 });
  expect(rest()).toMatch(
    /^12:00:03 {2}connected again after 3\.\d s, rtt 20 ms, 3 requests in flight went on$/,
  );
});

test("many connections of one service that are lost together are one line, over when the last is back", () => {
  const { vt, tell } = opened(120);
  tell(connected);
  const before = vt.text;
  const lost = { event: "disconnected", code: "agent-lost", reason: "", retryMs: 500 } as const;
  for (let shard = 0; shard < 4; shard++) tell({ ...lost, ...(shard === 0 ? {} : { shard }) });
  expect(vt.text.slice(before.length)).toContain("(4 connections)");
  for (let shard = 0; shard < 4; shard++) {
    expect(vt.text.slice(before.length)).not.toContain("again after");
    tell({
      event: "resumed",
      session: "s",
      streams: 2,
      rttMs: 20,
      ...(shard === 0 ? {} : { shard }),
    });
  }
  const lines = vt.text.slice(before.length).trim().split("\n");
  expect(lines).toEqual([expect.stringContaining("8 requests in flight went on")]);
});

test("draining counts down, with what is left", () => {
  const { clock, vt, log, tell } = opened();
  const streams = ["/a", "/b"].map((path) => begin(log, path));
  tell({ event: "draining", inFlight: 2, graceMs: 30_000 });
  clock.pass(1000);
  expect(vt.text).toMatch(
    /^draining: 2 requests in flight, up to 29 s \(Ctrl-C again to stop now\)/,
  );
  streams[0]?.ended({ status: 200, bytesIn: 0, bytesOut: 0, outcome: "ok" });
  clock.pass(1000);
  expect(vt.text).toMatch(/^draining: 1 request in flight, up to 28 s/);
});

test("a warning that is repeated is said once", () => {
  const { vt, tell } = opened(200);
  for (let time = 0; time < 3; time++) {
    tell({ event: "warning", code: "insecure-origin", message: "Anybody may answer." });
  }
  expect(vt.text).toBe(
    "12:00:00  warning: Anybody may answer. (insecure-origin, docs/errors.md#insecure-origin) (x3)",
  );
});

test("the end: what was served, and nothing that moves", () => {
  const { clock, vt, live, log, tell } = opened();
  tell(connected);
  begin(log, "/events").started?.();
  tell(request);
  tell({ ...request, outcome: "cancelled" });
  clock.pass(5000);
  live.close();
  expect(vt.text).toMatch(/\n {2}served 2 requests in 5 s, 1 of them not to the end$/);
  expect(vt.cursor).toBe(true);
});

test("statistics have the latest round trip and its age, whatever is told", () => {
  const { clock, vt, live } = opened();
  const log = new Log({
    json: false,
    stdout: { write: () => {} },
    stderr: vt,
    now: clock.now,
    voice: live,
    level: "silent",
  });
  log.event(connected);
  log.event(request);
  clock.pass(20_000);
  log.event({ event: "roundTrip", rttMs: 25 });
  log.event({ event: "roundTrip", rttMs: 70, shard: 1 });
  clock.pass(3000);
  expect(vt.text).toBe("");
  live.sayStatistics();
  clock.pass(100);
  expect(vt.text).toMatch(/requests +1 request finished/);
  expect(vt.text).toMatch(/connection +rtt 25 ms \(3 s ago\), tried again 0 times/);
});

test("several services share the foot, and each line says whose it is", () => {
  const { clock, vt, log } = opened(100);
  const [shop, api] = [log.of("shop", "shop"), log.of("api", "api ")];
  shop.live("connecting to one");
  api.live("connecting to another");
  clock.pass(100);
  expect(vt.text).toBe("shop  connecting to one\napi   connecting to another");
  api.event({ ...connected, service: "api" });
  clock.pass(100);
  expect(vt.text).toMatch(/^api {5}➜ {2}Public/);
  expect(vt.text).toMatch(/\nshop {2}connecting to one$/);
});

test("colours change nothing but colours", () => {
  const story = (paint: typeof plain): string => {
    const { clock, vt, log, tell } = opened(70, 24, paint);
    tell({ event: "origin", origin: "http://localhost:4000", up: true, ms: 2 });
    tell({ ...connected, visitors: "public" });
    begin(log, "/events").started?.();
    tell({ ...request, status: 502, outcome: "origin-refused", reason: "nobody is there" });
    tell({ event: "disconnected", code: "agent-lost", reason: "gone", retryMs: 3000 });
    clock.pass(2000);
    return vt.text;
  };
  expect(story(coloured)).toBe(story(plain));
});

test("what is less than the level is not told, and costs no watcher", () => {
  const clock = new Clock(NOON_MS);
  const vt = new Vt(80, 24);
  const live = new LiveVoice({ tty: vt, paint: plain, now: clock.now, after: clock.after });
  const log = new Log({
    json: false,
    stdout: { write: () => {} },
    stderr: vt,
    now: clock.now,
    voice: live,
    level: "warn",
  });
  log.event(connected);
  log.event(request);
  log.event({ event: "warning", code: "insecure-origin", message: "Anybody may answer." });
  clock.pass(100);
  expect(log.watch).toBeUndefined();
  expect(vt.text).toMatch(/^12:00:00 {2}warning: [^\n]*\n[^\n]*$/);
});

test("a sentence that quotes somebody never moves the cursor", () => {
  const { clock, vt, log } = opened();
  const edge = log.of("", "");
  edge.say("an agent connected (me\u009b2J\u001b]0;title\u0007\u202e)");
  edge.live("connecting to\u001b[2J");
  clock.pass(100);
  expect(vt.text).toContain(String.raw`(me\x9b2J\x1b]0;title\x07\u202e)`);
  expect(vt.text).toContain(String.raw`connecting to\x1b[2J`);
});
