import { describe, expect, test } from "vitest";
import { type ErrorCode, errors } from "../../codec/errors.ts";
import { MAX_HEADER_FIELDS } from "../../codec/limits.ts";
import { refusal } from "../../edge/refusal.ts";
import { FakeAgent, newService, type Origin, reply, send } from "./support/agent.ts";

describe("a refusal", () => {
  test.each(Object.keys(errors) as ErrorCode[])(
    "%s has its status, its code and a sentence",
    async (code) => {
      const rule = errors[code];
      const response = refusal(code, new Request("https://edge.test/"), "id-1");
      expect(response.status).toBe(rule.status);
      expect(response.headers.get("sluice-error")).toBe(code);
      expect(response.headers.get("sluice-request-id")).toBe("id-1");
      expect(response.headers.get("cache-control")).toBe("no-store");
      const wait = code === "too-many-agents" ? "30" : rule.status === 503 ? "2" : null;
      expect(response.headers.get("retry-after")).toBe(wait);
      expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
      expect(await response.text()).toBe(`${rule.says} (${code})\n`);
    },
  );

  test.each(["application/json", "text/html, application/problem+json;q=0.9", "Application/JSON"])(
    "is JSON for Accept: %s",
    async (accept) => {
      const request = new Request("https://edge.test/", { headers: { accept } });
      const response = refusal("agent-offline", request, "id-1");
      expect(response.headers.get("content-type")).toBe("application/json");
      const message = errors["agent-offline"].says;
      expect(await response.json()).toEqual({ error: "agent-offline", message });
    },
  );

  test("of a HEAD request has no body", async () => {
    const response = refusal(
      "no-route",
      new Request("https://edge.test/", { method: "HEAD" }),
      "id-1",
    );
    expect(response.status).toBe(404);
    expect(response.body).toBeNull();
  });
});

/** What a visitor gets from a service whose origin is `origin`. */
async function refused(origin: Origin, init?: RequestInit): Promise<(string | number | null)[]> {
  const service = newService();
  const agent = await FakeAgent.connect({ service, origin });
  const response = await send(service, "/", init);
  await response.text();
  agent.close();
  return [response.status, response.headers.get("sluice-error")];
}

test("no agent at all is said at once", async () => {
  const response = await send(newService());
  expect(response.status).toBe(503);
  expect(response.headers.get("sluice-error")).toBe("agent-offline");
  expect(response.headers.get("retry-after")).toMatch(/^[0-9]+$/);
});

test.each([
  ["origin-refused", 502],
  ["origin-reset", 502],
  ["origin-timeout", 504],
  ["origin-invalid", 502],
  ["overloaded", 503],
  ["shutting-down", 503],
  ["agent-stalled", 504],
] as const)("an agent's cancel with %s before the answer becomes %i", async (code, status) => {
  expect(await refused((exchange) => exchange.cancel(code, "a note"))).toEqual([status, code]);
});

test("an agent that disappears before the answer, and does not come back, is agent-lost", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service, origin: () => agent.close(1001) });
  const response = await send(service);
  expect([response.status, response.headers.get("sluice-error")]).toEqual([502, "agent-lost"]);
});

test("an agent that leaves with a code of the table is believed", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service, origin: () => agent.close(4041) });
  const response = await send(service);
  expect([response.status, response.headers.get("sluice-error")]).toEqual([503, "shutting-down"]);
});

test("a draining agent takes no new requests, and finishes those it has", async () => {
  const service = newService();
  const agent: FakeAgent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      agent.session.drain("draining", "a test");
      reply(exchange, "the last one");
    },
  });
  expect(await (await send(service)).text()).toBe("the last one");
  const response = await send(service);
  expect([response.status, response.headers.get("sluice-error")]).toEqual([503, "draining"]);
  agent.close();
});

test("more streams than the agent allows are overloaded", async () => {
  const service = newService();
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const agent = await FakeAgent.connect({
    service,
    maxStreams: 1,
    origin: async (exchange) => {
      begun.resolve();
      await end.promise;
      reply(exchange, "late");
    },
  });
  const first = send(service);
  await begun.promise;
  const second = await send(service);
  expect([second.status, second.headers.get("sluice-error")]).toEqual([503, "overloaded"]);
  end.resolve();
  expect(await (await first).text()).toBe("late");
  agent.close();
});

test("a head that does not fit is head-too-large, and the session goes on", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service, origin: (exchange) => reply(exchange, "ok") });
  const big = { headers: { "x-big": "a".repeat(66_000) } };
  const many: Record<string, string> = {};
  for (let i = 0; i <= MAX_HEADER_FIELDS; i++) many[`x-${i}`] = "";
  for (const init of [big, { headers: many }]) {
    const response = await send(service, "/", init);
    expect([response.status, response.headers.get("sluice-error")]).toEqual([
      431,
      "head-too-large",
    ]);
  }
  expect(await (await send(service)).text()).toBe("ok");
  agent.close();
});

test.each([
  [{ "x-a": "bell\u0007" }],
  [{ "content-length": "5", "transfer-encoding": "chunked" }],
  [{ "transfer-encoding": "gzip, chunked" }],
  [{ "content-length": "5, 5" }],
  [{ "content-length": "-1" }],
])("the headers %o are a bad request", async (headers) => {
  const refusedAs = await refused((exchange) => reply(exchange), { method: "POST", headers });
  expect(refusedAs).toEqual([400, "bad-request"]);
});
