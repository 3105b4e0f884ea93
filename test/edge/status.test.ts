import { exports } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import documented from "../../docs/status-and-metrics.md?raw";
import {
  bodyOf,
  FakeAgent,
  HeldAnswer,
  newAgentId,
  newService,
  reply,
  send,
} from "./support/agent.ts";
import { signToken } from "./support/token.ts";
import { SOON_MS } from "./support/soon.ts";

interface Page {
  service: string;
  agents: Record<string, unknown>[];
  promisedBytes: number;
  totals: Record<string, unknown>;
  versions: Record<string, string>;
}

async function statusOf(service: string): Promise<Page> {
  const token = await signToken({ service });
  const headers = { authorization: `Bearer ${token}` };
  const response = await exports.default.fetch(`https://edge.test/status/${service}`, { headers });
  expect(response.status).toBe(200);
  return response.json<Page>();
}

test("the status page says who is connected and what has passed", async () => {
  const service = newService();
  const id = newAgentId();
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const agent = await FakeAgent.connect({
    service,
    agent: id,
    origin: async (exchange) => {
      if (exchange.request.path === "/refused") return exchange.cancel("origin-refused");
      if (exchange.request.path === "/held") {
        begun.resolve();
        await end.promise;
      }
      reply(exchange, `${await bodyOf(exchange)}!`);
    },
  });
  await (await send(service, "/", { method: "POST", body: "12345" })).text();
  await (await send(service, "/refused")).text();
  const held = send(service, "/held");
  await begun.promise;
  const { agents, promisedBytes, totals, versions } = await statusOf(service);
  expect(agents).toHaveLength(1);
  expect(agents[0]).toMatchObject({
    agent: id,
    software: "fake-agent/1",
    secret: "current",
    connected: true,
    ready: true,
    draining: false,
    silent: false,
    streams: 1,
    bufferedBytes: 0,
  });
  expect(agents[0]?.["token"]).toMatch(/^[0-9a-f-]{36}$/);
  expect(promisedBytes).toBeGreaterThan(0);
  expect(agents[0]?.["session"]).toMatch(/^[0-9a-f-]{36}$/);
  expect(agents[0]?.["rttMs"]).toEqual(expect.any(Number));
  expect(agents[0]?.["connectedAt"]).toEqual(expect.any(Number));
  expect(totals).toMatchObject({
    requests: 3,
    failures: { "origin-refused": 1 },
    bytesFromVisitors: 5,
    bytesToVisitors: 6,
  });
  expect(versions).toEqual({
    edge: expect.stringMatching(/^sluice-edge\//),
    protocol: "sluice.v1",
  });
  end.resolve();
  await (await held).text();
  expect(await statusOf(service)).toMatchObject({ agents: [{ streams: 0 }], promisedBytes: 0 });
  agent.close();
});

test("the status page of a service without agents is empty", async () => {
  const service = newService();
  const page = await statusOf(service);
  expect(page).toMatchObject({ service, agents: [], totals: { requests: 0, failures: {} } });
});

test("an agent that leaves is draining until it has finished", async () => {
  const service = newService();
  const held = new HeldAnswer();
  const agent = await FakeAgent.connect({
    service,
    origin: held.origin,
  });
  const answer = send(service);
  await held.begun;
  agent.dialer.drain("bye");
  await vi.waitFor(async () => {
    const { agents } = await statusOf(service);
    expect(agents).toMatchObject([{ connected: true, ready: false, draining: true, streams: 1 }]);
  }, SOON_MS);
  held.end();
  await (await answer).text();
  agent.close();
});

test("an agent that has begun another session finishes the one before, and gets nothing new on it", async () => {
  const service = newService();
  const identity = { service, agent: newAgentId(), token: await signToken({ service }) };
  const held = new HeldAnswer();
  const before = await FakeAgent.connect({
    ...identity,
    origin: held.origin,
  });
  const answer = send(service);
  await held.begun;
  const after = await FakeAgent.connect(identity);
  expect((await statusOf(service)).agents).toMatchObject([
    { connected: true, ready: false, draining: true, streams: 1 },
    { connected: true, ready: true, draining: false, streams: 0 },
  ]);
  held.end();
  await (await answer).text();
  for (const agent of [before, after]) agent.close();
});

test("an agent that is away is neither connected nor draining, and what it has is still in flight", async () => {
  const service = newService();
  const held = new HeldAnswer();
  const agent = await FakeAgent.connect({
    service,
    origin: held.origin,
  });
  const answer = send(service);
  await held.begun;
  agent.break();
  await vi.waitFor(async () => {
    const page = await statusOf(service);
    expect(page).toMatchObject({
      streams: 1,
      agents: [{ connected: false, ready: false, draining: false, streams: 1 }],
    });
  }, SOON_MS);
  await agent.redial();
  held.end();
  expect(await (await answer).text()).toBe("x");
  agent.close();
});

/** The same with every value replaced by what kind it is; a map of codes by "codes". */
function kinds(value: unknown, name = ""): unknown {
  if (name === "failures") return "codes";
  if (Array.isArray(value)) return value.map((each) => kinds(each));
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.entries(value).map(([key, inner]) => [key, kinds(inner, key)]);
}

test("the example in the documentation has the members of a real page, in their order", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service });
  const [, example = ""] = /^```json\n([^]*?)^```$/m.exec(documented) ?? [];
  expect(kinds(await statusOf(service))).toEqual(kinds(JSON.parse(example)));
  agent.close();
});
