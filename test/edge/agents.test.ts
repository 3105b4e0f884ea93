import { describe, expect, test } from "vitest";
import type { ErrorCode } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { MAX_MESSAGE_BYTES } from "../../codec/limits.ts";
import { FakeAgent, newAgentId, newService, reply, send, upgrade } from "./support/agent.ts";
import { signToken } from "./support/token.ts";

/** An agent whose answers say its name. */
function named(service: string, name: string, rest: object = {}): Promise<FakeAgent> {
  return FakeAgent.connect({ service, origin: (exchange) => reply(exchange, name), ...rest });
}

const text = async (service: string): Promise<string> => (await send(service)).text();

test("the same agent's newer session gets the new requests, and the older one finishes what it has", async () => {
  const service = newService();
  const identity = { agent: newAgentId(), token: await signToken({ service }) };
  const begun = Promise.withResolvers<Exchange>();
  const first = await FakeAgent.connect({ service, ...identity, origin: begun.resolve });
  const answer = send(service);
  const exchange = await begun.promise;
  const second = await named(service, "second", identity);
  for (let i = 0; i < 3; i++) expect(await text(service)).toBe("second");
  reply(exchange, "first");
  expect(await (await answer).text()).toBe("first");
  first.close();
  second.close();
});

test("an agent's socket that has not greeted is replaced by its next one", async () => {
  const service = newService();
  const identity = { agent: newAgentId(), token: await signToken({ service }) };
  const first = await FakeAgent.dial({ service, ...identity, greets: false });
  const second = await named(service, "second", identity);
  expect(await first.closed).toMatchObject({ code: 1001 });
  second.close();
});

test("an agent that takes over makes the others drain, and they finish what they have", async () => {
  const service = newService();
  const begun = Promise.withResolvers<Exchange>();
  const drained = Promise.withResolvers<string>();
  const old = await FakeAgent.connect({
    service,
    origin: begun.resolve,
    draining: drained.resolve,
  });
  const answer = send(service);
  const exchange = await begun.promise;
  const heir = await named(service, "heir", { headers: { "sluice-replace": "1" } });
  expect(await drained.promise).toBe("replaced");
  for (let i = 0; i < 3; i++) expect(await text(service)).toBe("heir");
  reply(exchange, "old");
  expect(await (await answer).text()).toBe("old");
  old.close();
  heir.close();
});

describe("a request that certainly did not reach an origin", () => {
  /** Two agents; whoever is asked first refuses with `code`. Returns how the request ended. */
  async function refusedOnce(code: ErrorCode, init?: RequestInit): Promise<Response> {
    const service = newService();
    let asked = 0;
    const origin = (exchange: Exchange): void => {
      if (++asked === 1) exchange.cancel(code);
      else reply(exchange, `asked ${asked}`);
    };
    const agents = [
      await FakeAgent.connect({ service, origin }),
      await FakeAgent.connect({ service, origin }),
    ];
    const response = await send(service, "/", init);
    for (const agent of agents) agent.close();
    return response;
  }

  test.each(["draining", "overloaded", "origin-refused"] as const)(
    "because it was refused with %s goes to another agent",
    async (code) => {
      expect(await (await refusedOnce(code)).text()).toBe("asked 2");
    },
  );

  test("goes nowhere else when it has a body, which can be read but once", async () => {
    const response = await refusedOnce("draining", { method: "POST", body: "x" });
    expect(response.headers.get("sluice-error")).toBe("draining");
  });

  test("is another thing than one that may have: that is never sent again", async () => {
    const response = await refusedOnce("origin-reset");
    expect(response.headers.get("sluice-error")).toBe("origin-reset");
  });

  test("fails as it did when there is no other agent", async () => {
    const service = newService();
    const agent = await FakeAgent.connect({
      service,
      origin: (exchange) => exchange.cancel("origin-refused"),
    });
    expect((await send(service)).headers.get("sluice-error")).toBe("origin-refused");
    agent.close();
  });
});

test("agents of other identities coexist, and a stranger's id replaces nobody", async () => {
  const service = newService();
  const agent = newAgentId();
  // The same agent id with another token is another identity.
  const first = await named(service, "first", { agent });
  const second = await named(service, "second", { agent });
  // Among equals the newest is asked; when it leaves, the other still is there.
  expect(await text(service)).toBe("second");
  second.close();
  await second.closed;
  expect(await text(service)).toBe("first");
  first.close();
});

test("the agent with the fewest open streams gets the next request", async () => {
  const service = newService();
  const hold = Promise.withResolvers<void>();
  const served: string[] = [];
  const holding = (name: string): Promise<FakeAgent> =>
    FakeAgent.connect({
      service,
      origin: async (exchange) => {
        served.push(name);
        await hold.promise;
        reply(exchange, name);
      },
    });
  const agents = [await holding("a"), await holding("b"), await holding("c")];
  const answers = Array.from({ length: 6 }, () => text(service));
  hold.resolve();
  await Promise.all(answers);
  for (const name of ["a", "b", "c"]) expect(served.filter((by) => by === name)).toHaveLength(2);
  for (const agent of agents) agent.close();
});

test("a service has 64 agents and no more", async () => {
  const service = newService();
  const agents = await Promise.all(Array.from({ length: 64 }, (_, i) => named(service, `${i}`)));
  const refused = await upgrade({ service });
  expect([refused.status, refused.headers.get("sluice-error")]).toEqual([429, "too-many-agents"]);
  expect(refused.headers.get("retry-after")).toBe("30");
  agents[0]?.close();
  await agents[0]?.closed;
  agents.push(await named(service, "newest"));
  expect(await text(service)).toBe("newest");
  for (const agent of agents) agent.close();
});

test("one more is let in to take over from them", async () => {
  const service = newService();
  const left = Promise.withResolvers<string>();
  const agents = await Promise.all([
    named(service, "old", { draining: left.resolve }),
    ...Array.from({ length: 63 }, (_, i) => named(service, `${i}`)),
  ]);
  const headers = { "sluice-replace": "1" };
  agents.push(await named(service, "heir", { headers }));
  expect(await left.promise).toBe("replaced");
  expect(await text(service)).toBe("heir");
  const another = await upgrade({ service, headers });
  expect([another.status, another.headers.get("sluice-error")]).toEqual([429, "too-many-agents"]);
  for (const agent of agents) agent.close();
});

describe("an agent that breaks the protocol loses its session and nothing else:", () => {
  const faults: Record<string, string | Uint8Array> = {
    "a text message": "hello",
    "a truncated frame": new Uint8Array([0x93, 4]),
    "bytes of nothing": new Uint8Array([0xc1, 0xff, 0x00]),
    "a frame of an unknown stream": new Uint8Array([0x93, 4, 99, 0x90]),
    "a message above the limit": new Uint8Array(MAX_MESSAGE_BYTES + 1),
  };
  test.each(Object.entries(faults))("%s", async (_, message) => {
    const service = newService();
    const good = await named(service, "good");
    const bad = await named(service, "bad");
    bad.ws.send(message);
    const { code, reason } = await bad.closed;
    expect(code).toBeGreaterThan(4000);
    expect(reason).toMatch(/^(protocol-error|frame-too-large)/);
    expect(await text(service)).toBe("good");
    good.close();
  });
});

test("an agent that leaves sees the close handshake completed", async () => {
  const service = newService();
  const agent = await named(service, "x");
  agent.close(1000, "bye");
  expect((await agent.closed).code).toBe(1000);
});
