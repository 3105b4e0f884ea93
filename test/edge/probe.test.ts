/** What `agent doctor` measures a tunnel with, and that no agent which works ever gets any of it. */
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { FakeAgent, newService, type Origin, reply, send, upgrade } from "./support/agent.ts";
import { signToken } from "./support/token.ts";

const agents: FakeAgent[] = [];
afterEach(() => {
  for (const agent of agents.splice(0)) agent.close();
});

/** One that has dialled the object for measuring. */
async function measuring(service: string, origin: Origin): Promise<FakeAgent> {
  const agent = await FakeAgent.connect({ service, origin, shard: "probe" });
  agents.push(agent);
  return agent;
}

async function probe(service: string, query: string, token?: string): Promise<Response> {
  const authorization = `Bearer ${token ?? (await signToken({ service }))}`;
  const headers = { authorization };
  return exports.default.fetch(`https://edge.test/probe/${service}?${query}`, { headers });
}

test("so many bytes come down as are asked for", async () => {
  const service = newService();
  let came = 0;
  await measuring(service, async (exchange) => {
    expect(exchange.request).toMatchObject({ method: "POST", path: "/word" });
    for await (const part of exchange.incoming) came += part.length;
    reply(exchange);
  });
  const response = await probe(service, "bytes=200000&to=word");
  expect(await response.json()).toEqual({ status: 200, received: 0, whole: true });
  expect(came).toBe(200_000);
});

test("what goes up is counted and dropped", async () => {
  const service = newService();
  await measuring(service, (exchange) => reply(exchange, "x".repeat(100_000)));
  const response = await probe(service, "to=word");
  expect(await response.json()).toEqual({ status: 200, received: 100_000, whole: true });
});

test("an answer that is cut is said to be", async () => {
  const service = newService();
  await measuring(service, async (exchange) => {
    exchange.respond({ status: 200, reason: "OK", headers: [], length: "unknown" });
    while (exchange.outgoing.write(new Uint8Array(50_000)));
    // The edge has read some of it.
    await exchange.outgoing.ready();
    exchange.cancel("origin-reset");
  });
  expect(await (await probe(service, "")).json()).toMatchObject({ whole: false });
});

describe("an agent that works", () => {
  test("gets nothing of it, and loses nothing to it", async () => {
    const service = newService();
    const paths: string[] = [];
    const working = await FakeAgent.connect({
      service,
      origin: (exchange) => {
        paths.push(exchange.request.path);
        reply(exchange, "it");
      },
    });
    agents.push(working);
    const refused = await probe(service, "bytes=10");
    expect([refused.status, refused.headers.get("sluice-error")]).toEqual([503, "agent-offline"]);
    await measuring(service, (exchange) => reply(exchange, "not it"));
    await probe(service, "bytes=10");
    for (let i = 0; i < 20; i++) {
      expect(await (await send(service, `/${i}`)).text()).toBe("it");
    }
    expect(paths).toEqual(Array.from({ length: 20 }, (_, i) => `/${i}`));
  });
});

test.each(["bytes=-1", "bytes=1.5", "bytes=8388609", "to=a/b", "to=%3F"])(
  "%s is refused",
  async (query) => {
    const response = await probe(newService(), query);
    expect([response.status, response.headers.get("sluice-error")]).toEqual([400, "bad-request"]);
  },
);

test("it is for holders of an agent token only", async () => {
  const service = newService();
  const visitor = await signToken({ service, role: "visitor" });
  for (const token of ["", visitor, await signToken({ service: "other" })]) {
    expect((await probe(service, "bytes=10", token)).status).toBe(401);
    expect((await upgrade({ service, shard: "probe", token })).status).toBe(401);
  }
});
