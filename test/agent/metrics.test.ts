/** What the agent counts, how it is told to Prometheus, and where. */
import { get, request } from "node:http";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import type { IncomingMessage } from "node:http";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { metricsConfig, readyConfig } from "../../agent/config/metrics.ts";
import { UsageError } from "../../agent/config/usage.ts";
import type { AgentEvent } from "../../agent/events.ts";
import { Collector } from "../../agent/metrics/collector.ts";
import { CONTENT_TYPE, exposition, type Family } from "../../agent/metrics/exposition.ts";
import { Histogram } from "../../agent/metrics/histogram.ts";
import { MetricsServer } from "../../agent/metrics/server.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { read } from "../docs/markdown.ts";
import { Origin } from "../support/origin.ts";
import { readMetrics, type Scrape, valueOf } from "../support/prometheus.ts";
import { poll } from "../support/until.ts";
import { FakeEdge } from "./fake-edge.ts";
import { readAll } from "./pair.ts";
import { Run } from "./run.ts";

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const scrapeOf = (collector: Collector): Scrape => readMetrics(exposition(collector.families()));

describe("the text", () => {
  test("brings every label and every help through, whatever is in them", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.string({ unit: fc.constantFrom("\\", '"', "\n", "n", "}", ",", "=") }),
        fc.double(),
        (one, other, value) => {
          const samples = [{ labels: { one, other }, value }];
          const family: Family = { name: "things_total", help: other, type: "counter", samples };
          const found = readMetrics(exposition([family])).get("things_total");
          expect(found).toEqual({
            help: other,
            type: "counter",
            // There is one zero.
            samples: [{ name: "things_total", labels: { one, other }, value: value + 0 }],
          });
        },
      ),
    );
  });

  const any = fc.double({ min: 0, max: 100, noNaN: true });
  const onBound = fc.constantFrom(0.005, 0.25, 1, 60);

  test("of a histogram counts each observation in every bucket that it fits in", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(any, onBound)), (all) => {
        const histogram = new Histogram();
        for (const seconds of all) histogram.observe(seconds);
        const samples = histogram.samples({ service: "shop" });
        const family: Family = { name: "t", help: "", type: "histogram", samples };
        const scrape = readMetrics(exposition([family]));
        for (const { name, labels, value } of scrape.get("t")?.samples ?? []) {
          if (name !== "t_bucket") continue;
          const le = Number((labels["le"] ?? "").replace("+Inf", "Infinity"));
          expect(value, `<= ${le}`).toBe(all.filter((seconds) => seconds <= le).length);
        }
        expect(valueOf(scrape, "t_count")).toBe(all.length);
        expect(valueOf(scrape, "t_bucket", { le: "+Inf" })).toBe(all.length);
        expect(valueOf(scrape, "t_bucket", { le: "0.005" })).toBeLessThanOrEqual(all.length);
        expect(valueOf(scrape, "t_bucket", { le: "60" })).toBeLessThanOrEqual(all.length);
      }),
    );
  });

  test("has a service's name, however little it has done", () => {
    const collector = new Collector();
    collector.seat("shop");
    const scrape = scrapeOf(collector);
    expect(valueOf(scrape, "sluice_connected", { service: "shop", shard: "0" })).toBe(0);
    expect(valueOf(scrape, "sluice_build_info", { protocol: "sluice.v1" })).toBe(1);
    expect(valueOf(scrape, "process_resident_memory_bytes")).toBeGreaterThan(1e6);
    expect(valueOf(scrape, "process_cpu_seconds_total")).toBeGreaterThan(0);
  });

  test("is what the documentation lists, name by name", () => {
    const collector = new Collector();
    collector.seat("shop");
    const told = Array.from(scrapeOf(collector), ([name, { type }]) => `${name} ${type}`);
    const rows = read("docs/status-and-metrics.md").matchAll(
      /^\| `((?:sluice|process|nodejs)_\w+)`[^|]*\| (counter|gauge|histogram) \|/gm,
    );
    expect(Array.from(rows, ([, name, type]) => `${name} ${type}`).toSorted()).toEqual(
      told.toSorted(),
    );
  });
});

interface Started {
  readonly edge: FakeEdge;
  readonly origin: Origin;
  readonly run: Run;
  readonly collector: Collector;
}

async function start(concurrency = 64): Promise<Started> {
  const collector = new Collector();
  const edge = await FakeEdge.start();
  const origin = await Origin.start();
  const metrics = collector.seat("shop");
  const run = new Run({ edge: edge.url, port: origin.port, concurrency, metrics });
  cleanups.push(async () => {
    run.agent.stop();
    await run.exit;
    await edge.stop();
    await origin.stop();
  });
  await edge.caller();
  await run.event("connected");
  return { edge, origin, run, collector };
}

async function ask(
  { edge }: Started,
  path: string,
  { method = "GET", body }: { readonly method?: string; readonly body?: string } = {},
): Promise<Exchange> {
  const { session } = await edge.caller(edge.callers.length - 1);
  const length = body === undefined ? "none" : body.length;
  const exchange = session.open({ method, path, headers: [], length });
  if (body !== undefined) {
    exchange.outgoing.write(Buffer.from(body));
    exchange.outgoing.end();
  }
  return exchange;
}

describe("an agent's requests", () => {
  test("are counted by method, class of status and outcome, with the bytes of their bodies", async () => {
    const started = await start();
    const { run, collector, origin } = started;
    origin.on("/missing", ({ response }) => response.writeHead(404).end("no"));
    await readAll(await ask(started, "/a-path-that-nobody-else-has"));
    await readAll(await ask(started, "/upload", { method: "POST", body: "12345" }));
    await readAll(await ask(started, "/missing"));
    await readAll(await ask(started, "/purged", { method: "PURGE" }));
    await readAll(await ask(started, "/purged", { method: "UNLOCK" }));
    await run.event("request", 4);

    const scrape = scrapeOf(collector);
    const counted = scrape.get("sluice_requests_total")?.samples;
    const of = (method: string, status: string, value: number) => ({
      name: "sluice_requests_total",
      labels: { service: "shop", method, status, outcome: "ok" },
      value,
    });
    // One for both: a visitor who makes up methods makes no more samples.
    expect(counted).toEqual([
      of("GET", "2xx", 1),
      of("POST", "2xx", 1),
      of("GET", "4xx", 1),
      of("other", "2xx", 2),
    ]);
    const ended = run.events.filter((event) => event.event === "request");
    const bytesIn = ended.reduce((sum, event) => sum + event.bytesIn, 0);
    const bytesOut = ended.reduce((sum, event) => sum + event.bytesOut, 0);
    expect(bytesIn).toBe(5);
    expect(valueOf(scrape, "sluice_request_bytes_total")).toBe(bytesIn);
    expect(valueOf(scrape, "sluice_response_bytes_total")).toBe(bytesOut);
    expect(valueOf(scrape, "sluice_request_duration_seconds_count")).toBe(5);
    expect(valueOf(scrape, "sluice_origin_seconds_count")).toBe(5);
    expect(valueOf(scrape, "sluice_request_duration_seconds_sum")).toBeGreaterThanOrEqual(
      valueOf(scrape, "sluice_origin_seconds_sum"),
    );
    expect(exposition(collector.families())).not.toMatch(/nobody-else|purge|unlock/i);
  });

  test("are in flight or wait for a place, and neither when they have ended", async () => {
    const started = await start(1);
    const { run, collector, origin } = started;
    const held = Promise.withResolvers<() => void>();
    origin.on("/held", ({ response }) => {
      response.write("half");
      held.resolve(() => response.end());
    });
    const first = await ask(started, "/held");
    await first.answer();
    const second = await ask(started, "/second");
    const third = await ask(started, "/third");
    await poll(
      () => valueOf(scrapeOf(collector), "sluice_requests_waiting") === 2,
      "two that wait",
    );
    expect(valueOf(scrapeOf(collector), "sluice_requests_in_flight")).toBe(1);
    // It never gets to the origin.
    third.cancel("cancelled");
    await run.event("request", 0);
    expect(valueOf(scrapeOf(collector), "sluice_requests_waiting")).toBe(1);
    expect(valueOf(scrapeOf(collector), "sluice_requests_total", { outcome: "cancelled" })).toBe(1);
    // What is still on its way is counted as it passes.
    expect(valueOf(scrapeOf(collector), "sluice_response_bytes_total")).toBe(4);
    (await held.promise)();
    await readAll(first);
    await readAll(second);
    await run.event("request", 2);
    const scrape = scrapeOf(collector);
    expect(valueOf(scrape, "sluice_requests_waiting")).toBe(0);
    expect(valueOf(scrape, "sluice_requests_in_flight")).toBe(0);
    expect(valueOf(scrape, "sluice_request_duration_seconds_count")).toBe(3);
    expect(valueOf(scrape, "sluice_origin_seconds_count")).toBe(2);
  });

  test("that find no origin end once, however often it was tried", async () => {
    const started = await start();
    const { run, collector, origin } = started;
    await origin.stop();
    await ask(started, "/refused");
    await run.event("request");
    const scrape = scrapeOf(collector);
    expect(valueOf(scrape, "sluice_requests_in_flight")).toBe(0);
    const refused = { status: "5xx", outcome: "origin-refused" };
    expect(valueOf(scrape, "sluice_requests_total", refused)).toBe(1);
    expect(valueOf(scrape, "sluice_origin_seconds_count")).toBe(0);
  });

  test("that wait for a slow reader's credit are counted as stalled", async () => {
    const started = await start();
    const { collector, origin, run } = started;
    origin.on("/large", ({ response }) => response.end(Buffer.alloc(8 * 1024 * 1024)));
    const exchange = await ask(started, "/large");
    await exchange.answer();
    // Nobody has read anything yet.
    await poll(
      () => valueOf(scrapeOf(collector), "sluice_stalled_seconds_total") > 0,
      "an answer that waits",
    );
    await readAll(exchange);
    await run.event("request");
    const after = valueOf(scrapeOf(collector), "sluice_stalled_seconds_total");
    expect(after).toBeGreaterThan(0);
    expect(valueOf(scrapeOf(collector), "sluice_stalled_seconds_total")).toBe(after);
  });
});

test("the time that answers stall is added up over all of them, also while they do", () => {
  let now = 1000;
  const collector = new Collector(() => now);
  const metrics = collector.seat("shop");
  const exchange = { request: { method: "GET" } } as Exchange;
  const [one, other] = [metrics.opened(exchange), metrics.opened(exchange)];
  const outcome = { status: 200, bytesIn: 0, bytesOut: 0, outcome: "ok" } as const;
  const stalled = (): number => valueOf(scrapeOf(collector), "sluice_stalled_seconds_total");
  for (const each of [one, other]) each.started?.();
  one.stalled?.();
  now += 2000;
  expect(stalled()).toBe(2);
  other.stalled?.();
  now += 1000;
  expect(stalled()).toBe(4);
  one.resumed?.();
  now += 1000;
  // Broken off while it waits.
  other.ended(outcome);
  now += 5000;
  expect(stalled()).toBe(5);
  other.resumed?.();
  now += 1000;
  expect(stalled()).toBe(5);
});

test("a WebSocket is a request, and no duration", () => {
  const collector = new Collector();
  const metrics = collector.seat("shop");
  const socket = metrics.opened({ request: { method: "GET" } } as Exchange);
  socket.started?.();
  socket.ended({ status: 101, bytesIn: 0, bytesOut: 0, outcome: "ok" });
  const scrape = scrapeOf(collector);
  expect(valueOf(scrape, "sluice_requests_total", { status: "1xx" })).toBe(1);
  expect(valueOf(scrape, "sluice_request_duration_seconds_count")).toBe(0);
});

describe("an agent's connections", () => {
  test("are told as they are, and those that came after others are counted", async () => {
    const started = await start();
    const { run, collector, edge, origin } = started;
    const states = () => {
      const scrape = scrapeOf(collector);
      return [
        valueOf(scrape, "sluice_ready"),
        valueOf(scrape, "sluice_connected", { shard: "0" }),
        valueOf(scrape, "sluice_reconnects_total"),
        valueOf(scrape, "sluice_resumed_total"),
        valueOf(scrape, "sluice_sessions_lost_total"),
      ];
    };
    expect(states()).toEqual([1, 1, 0, 0, 0]);
    const [connected] = run.events.filter(({ event }) => event === "connected");
    expect(collector.readiness()).toEqual({
      ready: true,
      services: [
        {
          service: "shop",
          ready: true,
          connected: true,
          session: connected?.event === "connected" ? connected.session : "",
        },
      ],
    });
    origin.on("/held", ({ response }) => response.write("half"));
    const exchange = await ask(started, "/held");
    await exchange.answer();
    edge.callers[0]?.ws.terminate();
    await run.event("disconnected");
    expect(states()).toEqual([0, 0, 0, 0, 0]);
    expect(scrapeOf(collector).get("sluice_rtt_seconds")?.samples).toEqual([]);
    expect(collector.readiness()).toMatchObject({ ready: false, services: [{ connected: false }] });
    await run.event("resumed");
    expect(states()).toEqual([1, 1, 1, 1, 0]);
    exchange.cancel("cancelled");
    await run.event("request");
    run.agent.drain();
    // Connected, and of no use to new requests.
    expect(states()).toEqual([0, 1, 1, 1, 0]);
  });

  const events = {
    connected: { event: "connected", session: "s", rttMs: 5, again: false },
    lost: { event: "connected", session: "t", rttMs: 5, again: true },
    second: { event: "connected", session: "u", rttMs: 7, again: false, shard: 1 },
    shards: { event: "shards", shards: 2 },
    fewer: { event: "shards", shards: 1 },
    replaced: { event: "replaced" },
    fault: { event: "error", code: "internal-error", message: "" },
    refused: { event: "error", code: "unauthorized", message: "" },
    other: { event: "disconnected", code: "agent-lost", reason: "", retryMs: 0, shard: 1 },
  } as unknown as Record<string, AgentEvent>;

  test.each([
    ["a new session instead of the old", ["connected", "lost"], true, "1", 1],
    ["an object more, not connected yet", ["connected", "shards"], true, "1 0", 0],
    ["an object more", ["connected", "shards", "second"], true, "1 1", 0],
    ["an object that is lost", ["connected", "shards", "second", "other"], true, "1 0", 0],
    [
      "one too many that finishes what it has",
      ["connected", "shards", "second", "fewer", "other"],
      true,
      "1",
      0,
    ],
    ["a service that another agent has taken over", ["connected", "replaced"], false, "1", 0],
    ["a fault of our own, after which it goes on", ["connected", "fault"], true, "1", 0],
    ["a token that is refused, for good", ["connected", "refused"], false, "0", 0],
  ])("show %s", (_what, names, ready, connected, lost) => {
    const collector = new Collector();
    const metrics = collector.seat("shop");
    for (const name of names) metrics.report(events[name] as AgentEvent);
    const scrape = scrapeOf(collector);
    const samples = scrape.get("sluice_connected")?.samples ?? [];
    expect(samples.map(({ value }) => value).join(" ")).toBe(connected);
    expect(valueOf(scrape, "sluice_sessions_lost_total")).toBe(lost);
    expect(collector.readiness().ready).toBe(ready);
  });

  test("have the latest round trip, while there is a connection", () => {
    const collector = new Collector();
    const shop = collector.seat("shop");
    const told = () => scrapeOf(collector).get("sluice_rtt_seconds")?.samples ?? [];
    const pinged = (rttMs: number, shard?: number): void =>
      shop.report({ event: "roundTrip", rttMs, ...(shard === undefined ? {} : { shard }) });
    pinged(1);
    expect(told()).toEqual([]);
    for (const name of ["connected", "shards", "second"]) {
      shop.report(events[name] as AgentEvent);
    }
    expect(told().map(({ value }) => value)).toEqual([0.005, 0.007]);
    pinged(18);
    pinged(25, 1);
    expect(told().map(({ value }) => value)).toEqual([0.018, 0.025]);
    expect(collector.readiness().services[0]?.session).toBe("s");
    shop.report(events["other"] as AgentEvent);
    pinged(30, 1);
    expect(told().map(({ value }) => value)).toEqual([0.018]);
  });

  test("of one service that is down make all of it not ready", () => {
    const collector = new Collector();
    expect(collector.readiness()).toEqual({ ready: false, services: [] });
    collector.seat("shop").report(events["connected"] as AgentEvent);
    expect(collector.readiness().ready).toBe(true);
    collector.seat("blog");
    expect(collector.readiness().ready).toBe(false);
  });
});

describe("the address", () => {
  async function serve(host = "127.0.0.1"): Promise<{ collector: Collector; url: URL }> {
    const collector = new Collector();
    const server = await MetricsServer.start({ host, port: 0 }, collector);
    cleanups.push(() => server.close());
    return { collector, url: new URL(server.url) };
  }

  async function fetchFrom(
    url: URL,
    options: { readonly method?: string; readonly headers?: Record<string, string> } = {},
  ): Promise<{ readonly status: number; readonly type: string; readonly body: string }> {
    const [response] = (await once(
      request(url, { agent: false, ...options }).end(),
      "response",
    )) as [IncomingMessage];
    const type = response.headers["content-type"] ?? "";
    return { status: response.statusCode ?? 0, type, body: await text(response) };
  }

  test("tells metrics to a scraper, whatever it can read", async () => {
    const { url, collector } = await serve();
    collector.seat("shop");
    const accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    const { status, type, body } = await fetchFrom(url, { headers: { accept } });
    expect([status, type]).toEqual([200, CONTENT_TYPE]);
    expect(valueOf(readMetrics(body), "sluice_connected", { service: "shop" })).toBe(0);
  });

  test("tells whether it is ready, with a status that a probe understands", async () => {
    const { url, collector } = await serve();
    const shop = collector.seat("shop");
    const at = new URL("/ready?verbose", url);
    expect(await fetchFrom(at)).toMatchObject({ status: 503, type: "application/json" });
    shop.report({ event: "resumed", session: "s", streams: 0, rttMs: 1 });
    const { status, body } = await fetchFrom(at);
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual(collector.readiness());
  });

  test.each([
    ["another path", "/", {}, 404],
    ["no path at all", "//", {}, 404],
    ["a HEAD", "/metrics", { method: "HEAD" }, 200],
    ["a POST", "/metrics", { method: "POST" }, 405],
    ["localhost", "/metrics", { headers: { host: "localhost:9090" } }, 200],
    ["a forwarded port", "/metrics", { headers: { host: "[::1]:7" } }, 200],
    ["a page that rebinds a name", "/metrics", { headers: { host: "evil.example:80" } }, 421],
  ])("answers %s", async (_what, path, options, status) => {
    const { url } = await serve();
    const target = { ...options, host: url.hostname, port: url.port, path, agent: false };
    const [response] = (await once(request(target).end(), "response")) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(status);
  });

  test("answers to any name where others can reach it: a container has one of its own", async () => {
    const { url } = await serve("0.0.0.0");
    const here = new URL(url);
    here.hostname = "127.0.0.1";
    const { status } = await fetchFrom(here, { headers: { host: "agent:9090" } });
    expect(status).toBe(200);
  });

  test("that another program has is a sentence, and no wrong usage: it may be free the next time", async () => {
    const { url } = await serve();
    const again = MetricsServer.start(
      { host: "127.0.0.1", port: Number(url.port) },
      new Collector(),
    );
    const error: unknown = await again.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(UsageError);
    expect(String(error)).toMatch(/another program listens there/);
  });

  test("that is not of this machine is wrong usage", async () => {
    const elsewhere = MetricsServer.start({ host: "192.0.2.1", port: 0 }, new Collector());
    await expect(elsewhere).rejects.toThrow(UsageError);
  });

  test("keeps nobody from ending", async () => {
    const { url } = await serve();
    const kept = get(url, { headers: { connection: "keep-alive" } });
    const [response] = (await once(kept, "response")) as [IncomingMessage];
    await text(response);
    expect(response.headers["cache-control"]).toBe("no-store");
  });
});

const given = (from: string, value: string) => ({ text: value, from, flag: true });

describe("--metrics", () => {
  test.each([
    ["9090", "127.0.0.1", 9090],
    ["127.0.0.1:0", "127.0.0.1", 0],
    ["localhost:9090", "localhost", 9090],
    ["[::1]:9090", "::1", 9090],
    ["0.0.0.0:65535", "0.0.0.0", 65_535],
  ])("%s is %s, port %i", (value, host, port) => {
    expect(metricsConfig({ metrics: given("--metrics", value) })).toEqual({ host, port });
  });

  test.each([
    "",
    ":9090",
    "127.0.0.1",
    "127.0.0.1:65536",
    "::1:9090",
    "[127.0.0.1]:1",
    "http://a:1",
  ])("%j is not understood, and quoted", (value) => {
    const parse = () => metricsConfig({ metrics: given("AGENT_METRICS", value) });
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(`AGENT_METRICS must be a port like 9090`);
    expect(parse).toThrow(JSON.stringify(value));
  });

  test("is off when it is not given", () => {
    expect(metricsConfig({})).toBeUndefined();
  });
});

describe("agent ready", () => {
  test.each([
    ["0.0.0.0:9090", "127.0.0.1"],
    ["[::]:9090", "::1"],
    ["10.0.0.7:9090", "10.0.0.7"],
  ])("asks an agent at %s at %s", (value, host) => {
    const config = readyConfig({ metrics: given("--metrics", value) });
    expect(config).toEqual({ address: { host, port: 9090 }, timeoutMs: 2000 });
  });

  test.each([
    ["without an address", {}, /AGENT_METRICS for both/],
    ["with a port that nobody knows", { metrics: given("--metrics", "0") }, /not 0/],
    [
      "with a time that is none",
      { metrics: given("--metrics", "1"), timeout: given("--timeout", "soon") },
      /--timeout must be a time/,
    ],
  ])("%s says what is wrong", (_what, values, says) => {
    expect(() => readyConfig(values)).toThrow(says);
  });
});
