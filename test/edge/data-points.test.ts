/** One data point for each request that is over, where the operator has bound a dataset: the real binding, watched. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import documented from "../../docs/status-and-metrics.md?raw";
import { Visit } from "../../edge/visit.ts";
import { FakeAgent, newService, type Origin, reply, send } from "./support/agent.ts";
import { SOON_MS } from "./support/soon.ts";

interface Point {
  readonly indexes: string[];
  readonly blobs: string[];
  readonly doubles: number[];
}

let service = "";
let points: Point[] = [];
let agent: FakeAgent | undefined;

/** What the object of `service` has for a dataset from now on. */
async function bind(dataset: AnalyticsEngineDataset | undefined): Promise<void> {
  await runInDurableObject(env.CORRELATOR.getByName(service), (object) => {
    Reflect.set(object, "env", { ...env, REQUESTS: dataset });
  });
}

beforeEach(async () => {
  service = newService();
  points = [];
  const real = env.REQUESTS;
  await bind({
    writeDataPoint(point) {
      points.push(point as Point);
      // The runtime has its own word on what a point may be.
      real.writeDataPoint(point);
    },
  });
});

afterEach(() => {
  agent?.close();
  agent = undefined;
});

async function answering(origin: Origin): Promise<void> {
  agent = await FakeAgent.connect({ service, origin });
}

/** The one point of a request, once there is one. */
async function point(): Promise<Point> {
  await vi.waitFor(() => expect(points).toHaveLength(1), SOON_MS);
  const [one] = points;
  if (one === undefined) throw new Error("no point");
  expect(one.indexes).toEqual([service]);
  const [duration = -1, head = -1] = one.doubles;
  expect(duration).toBeGreaterThanOrEqual(head);
  expect(head).toBeGreaterThanOrEqual(0);
  return one;
}

test("a request that is over is one point", async () => {
  await answering(async (exchange) => {
    for await (const chunk of exchange.incoming) expect(chunk.length).toBe(5);
    reply(exchange, "ok", { status: 201 });
  });
  const init = { method: "PUT", body: "12345", cf: { colo: "FRA" } };
  await (await send(service, "/", init)).text();
  const { indexes, blobs, doubles } = await point();
  expect(blobs).toEqual([service, "PUT", "ok", "2xx", "FRA"]);
  const columns = Array.from(documented.matchAll(/^\| `(index|blob|double)(\d+)`/gm));
  for (const [name, values] of Object.entries({ index: indexes, blob: blobs, double: doubles })) {
    const numbers = columns.filter(([, of]) => of === name).map(([, , number]) => Number(number));
    expect(numbers, name).toEqual(values.map((_, i) => i + 1));
  }
  expect(doubles.slice(2)).toEqual([5, 2, 201]);
});

test("a download is one when its last byte is handed over, not before", async () => {
  const end = Promise.withResolvers<void>();
  await answering(async (exchange) => {
    exchange.respond({ status: 200, reason: "", headers: [], length: "unknown" });
    exchange.outgoing.write(new Uint8Array(1000));
    await end.promise;
    exchange.outgoing.end();
  });
  const response = await send(service);
  const reader = response.body?.getReader();
  await reader?.read();
  expect(points).toEqual([]);
  end.resolve();
  expect((await reader?.read())?.done).toBe(true);
  const { blobs, doubles } = await point();
  expect(blobs).toEqual([service, "GET", "ok", "2xx", ""]);
  expect(doubles.slice(2)).toEqual([0, 1000, 200]);
});

test("an answer that is cut has its status and the code that cut it", async () => {
  await answering((exchange) => {
    exchange.respond({ status: 200, reason: "", headers: [], length: 10 });
    exchange.outgoing.write(new Uint8Array(4));
    setTimeout(() => exchange.cancel("origin-reset"));
  });
  await expect((await send(service)).text()).rejects.toThrow();
  const { blobs, doubles } = await point();
  expect(blobs.slice(2, 4)).toEqual(["origin-reset", "2xx"]);
  expect(doubles[4]).toBe(200);
});

test.each([
  ["origin-timeout", 504, "5xx"],
  ["bad-request", 400, "4xx"],
] as const)(
  "a refusal with %s has its own status, and no time to a head",
  async (code, status, kind) => {
    await answering((exchange) => exchange.cancel(code));
    await (await send(service)).text();
    const { blobs, doubles } = await point();
    expect(blobs.slice(2, 4)).toEqual([code, kind]);
    expect([doubles[1], doubles[4]]).toEqual([0, status]);
  },
);

test("a request that reaches no agent is one too", async () => {
  await (await send(service)).text();
  expect((await point()).blobs).toEqual([service, "GET", "agent-offline", "5xx", ""]);
});

test("a request that is no HTTP for a tunnel is one too", async () => {
  await (await send(service, "/", { headers: { host: "a/b" } })).text();
  expect((await point()).blobs).toEqual([service, "GET", "bad-request", "4xx", ""]);
});

test("a WebSocket is one when it is over", async () => {
  await answering((exchange) => {
    exchange.respond({ status: 101, reason: "", headers: [], length: "socket" });
    // A close frame without a code.
    exchange.outgoing.write(new Uint8Array([0x88, 0]));
    exchange.outgoing.end();
  });
  const { webSocket } = await send(service, "/", { headers: { upgrade: "websocket" } });
  webSocket?.accept();
  const { blobs, doubles } = await point();
  expect(blobs.slice(1, 4)).toEqual(["GET", "ok", "1xx"]);
  expect(doubles.slice(3)).toEqual([2, 101]);
});

test("a request that went to a second agent is one point", async () => {
  let tries = 0;
  const origin: Origin = (exchange) =>
    ++tries === 1 ? exchange.cancel("origin-refused") : reply(exchange, "x");
  await answering(origin);
  const other = await FakeAgent.connect({ service, origin });
  expect((await send(service)).status).toBe(200);
  expect((await point()).blobs[2]).toBe("ok");
  other.close();
});

test("what `agent doctor` measures with is none", async () => {
  const origin: Origin = (exchange) => reply(exchange, "x");
  agent = await FakeAgent.connect({ service, shard: "probe", origin });
  const name = `${service}#1000`;
  const first = env.CORRELATOR.getByName(name);
  const dataset = { writeDataPoint: (written: unknown) => void points.push(written as Point) };
  await runInDurableObject(first, (object) => {
    Reflect.set(object, "env", { ...env, REQUESTS: dataset });
  });
  const response = await first.fetch(`https://probe/send/${service}/`);
  expect(await response.text()).toBe("x");
  expect(points).toEqual([]);
});

test("without a dataset nothing is measured", async () => {
  await bind(undefined);
  await answering((exchange) => reply(exchange, "x"));
  const sent = vi.spyOn(Visit.prototype, "sent");
  await (await send(service)).text();
  expect(sent).not.toHaveBeenCalled();
  await (await send(service, "/", { headers: { "sluice-timing": "1" } })).text();
  expect(sent).toHaveBeenCalledOnce();
  expect(points).toEqual([]);
});
