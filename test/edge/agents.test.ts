import { describe, expect, test } from "vitest";
import { MAX_MESSAGE_BYTES } from "../../codec/limits.ts";
import { FakeAgent, newAgentId, newService, reply, send, upgrade } from "./support/agent.ts";
import { signToken } from "./support/token.ts";

/** An agent whose answers say its name. */
function named(service: string, name: string, rest: object = {}): Promise<FakeAgent> {
  return FakeAgent.connect({ service, origin: (exchange) => reply(exchange, name), ...rest });
}

const text = async (service: string): Promise<string> => (await send(service)).text();

test("the same agent's newer socket takes the older one's place", async () => {
  const service = newService();
  const identity = { agent: newAgentId(), token: await signToken({ service }) };
  const first = await named(service, "first", identity);
  const second = await named(service, "second", identity);
  expect(await first.closed).toEqual({ code: 4040, reason: "replaced" });
  expect(await text(service)).toBe("second");
  second.close();
});

test("what the replaced socket had under way fails visibly", async () => {
  const service = newService();
  const identity = { agent: newAgentId(), token: await signToken({ service }) };
  const begun = Promise.withResolvers<void>();
  await FakeAgent.connect({ service, ...identity, origin: () => begun.resolve() });
  const answer = send(service);
  await begun.promise;
  const second = await named(service, "second", identity);
  const response = await answer;
  expect([response.status, response.headers.get("sluice-error")]).toEqual([502, "replaced"]);
  second.close();
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
  agents[0]?.close();
  await agents[0]?.closed;
  agents.push(await named(service, "newest"));
  expect(await text(service)).toBe("newest");
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
