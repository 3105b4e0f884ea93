/** A request has one name at the visitor, at the origin and in the logs. */
import { describe, expect, test, vi } from "vitest";
import { headerValue } from "../../codec/headers.ts";
import { env, exports } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { FakeAgent, newService, type Origin, reply, send } from "./support/agent.ts";

const ray = "8f3c1d2e4b5a6978-FRA";

/** What the agent was told, and the visitor, of one request. */
async function ids(
  origin: Origin,
  headers: Record<string, string> = {},
): Promise<{ origin: string | undefined; visitor: string | null; response: Response }> {
  const service = newService();
  let told: string | undefined;
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      told = exchange.id;
      return origin(exchange);
    },
  });
  const response = await send(service, "/", { headers });
  await response.text();
  agent.close();
  return { origin: told, visitor: response.headers.get("sluice-request-id"), response };
}

test("the agent, for the origin, and the visitor are told the same id", async () => {
  const told = await ids((exchange) => reply(exchange, "x"));
  expect(told.visitor).toMatch(/^[0-9a-f-]{13}-1$/);
  expect(told.origin).toBe(told.visitor);
});

test("both ends agree on it after the object has slept, too", async () => {
  const service = newService();
  const seen: string[] = [];
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      seen.push(exchange.id);
      reply(exchange, "x");
    },
  });
  const told: (string | null)[] = [];
  for (let awake = 0; awake < 2; awake++) {
    const response = await send(service);
    told.push(response.headers.get("sluice-request-id"));
    await response.text();
    await evictDurableObject(env.CORRELATOR.getByName(service), { webSockets: "hibernate" });
  }
  expect(told).toEqual(seen);
  expect(told[0]).not.toBe(told[1]);
  agent.close();
});

test("Cloudflare's id is the request's", async () => {
  const told = await ids((exchange) => reply(exchange, "x"), { "cf-ray": ray });
  expect([told.origin, told.visitor]).toEqual([ray, ray]);
});

test("the visitor does not choose the id, nor does the origin", async () => {
  const told = await ids(
    (exchange) => reply(exchange, "x", { headers: ["sluice-request-id", "origin's"] }),
    { "sluice-request-id": "visitor's", "cf-ray": "'; drop table" },
  );
  expect(told.origin).toMatch(/^[0-9a-f-]{13}-1$/);
  expect(told.visitor).toBe(told.origin);
});

test("no two requests have the same", async () => {
  const seen = new Set<string | null>();
  for (let object = 0; object < 3; object++) {
    const service = newService();
    const agent = await FakeAgent.connect({ service, origin: (exchange) => reply(exchange, "x") });
    for (let nth = 0; nth < 3; nth++) {
      seen.add((await send(service)).headers.get("sluice-request-id"));
    }
    agent.close();
    for (let nth = 0; nth < 3; nth++) {
      seen.add((await send(newService())).headers.get("sluice-request-id"));
    }
  }
  expect(seen.size).toBe(18);
});

describe("an error answer names the request", () => {
  test("that its agent refused, by the name that the agent knows", async () => {
    const told = await ids((exchange) => exchange.cancel("origin-refused"));
    expect(told.response.headers.get("sluice-error")).toBe("origin-refused");
    expect(told.visitor).toMatch(/./);
    expect(told.origin).toBe(told.visitor);
  });

  test.each([
    ["no-route", "https://edge.test/", {}],
    ["unauthorized", "https://edge.test/status/shop", {}],
    ["agent-offline", `https://edge.test/send/${newService()}/`, {}],
    ["bad-request", `https://edge.test/send/${newService()}/`, { host: "a/b" }],
  ])("%s", async (code, url, headers: Record<string, string>) => {
    for (const [sent, expected] of [
      [headers, /^[0-9a-f-]{13}-\d+$/],
      [{ ...headers, "cf-ray": ray }, new RegExp(`^${ray}$`)],
    ] as const) {
      const response = await exports.default.fetch(url, { headers: sent });
      expect(response.headers.get("sluice-error")).toBe(code);
      expect(response.headers.get("sluice-request-id")).toMatch(expected);
    }
  });
});

test("a request that went to a second agent has the name that this one knows", async () => {
  const service = newService();
  const told: string[] = [];
  const note: Origin = (exchange) => {
    told.push(exchange.id);
    if (told.length === 1) exchange.cancel("origin-refused");
    else reply(exchange, "x");
  };
  const agents = [
    await FakeAgent.connect({ service, origin: note }),
    await FakeAgent.connect({ service, origin: note }),
  ];
  const response = await send(service);
  expect(response.status).toBe(200);
  expect(told).toHaveLength(2);
  expect(response.headers.get("sluice-request-id")).toBe(told[1]);
  for (const agent of agents) agent.close();
});

test("a visitor's WebSocket has one too", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) =>
      exchange.respond({ status: 101, reason: "", headers: [], length: "socket" }),
  });
  const { webSocket, headers } = await send(service, "/", { headers: { upgrade: "websocket" } });
  expect(headers.get("sluice-request-id")).toMatch(/-1$/);
  webSocket?.accept();
  webSocket?.close();
  agent.close();
});

test("a fault's line in the log names the service, the code and the request", async () => {
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const told = await ids((exchange) => exchange.cancel("internal-error", "broken"));
  const service = expect.stringMatching(/^test-/) as string;
  expect(log.mock.calls).toEqual([
    [
      expect.objectContaining({
        event: "fault",
        service,
        code: "internal-error",
        request: told.visitor,
      }),
    ],
  ]);
  log.mockRestore();
});

test("traceparent and tracestate cross as they are, both ways", async () => {
  const trace = {
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    tracestate: "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE",
  };
  let received: Record<string, string | undefined> = {};
  const { response } = await ids((exchange) => {
    const { headers } = exchange.request;
    received = {
      traceparent: headerValue(headers, "traceparent"),
      tracestate: headerValue(headers, "tracestate"),
    };
    const headersBack = Object.entries(trace).flat();
    reply(exchange, "x", { headers: headersBack });
  }, trace);
  expect(received).toEqual(trace);
  expect(response.headers.get("traceparent")).toBe(trace.traceparent);
  expect(response.headers.get("tracestate")).toBe(trace.tracestate);
});
