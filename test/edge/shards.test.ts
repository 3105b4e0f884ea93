/** A service over several objects: how many, which one gets what, and what happens while that changes. */
import { env } from "cloudflare:workers";
import * as fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { TunnelError } from "../../codec/errors.ts";
import {
  dialledShard,
  MAX_SHARDS,
  pickShard,
  placement,
  shardCounts,
  shardName,
  shardsOf,
} from "../../edge/shards.ts";
import worker from "../../edge/worker.ts";
import { bodyOf, FakeAgent, newService, type Origin, reply, upgrade } from "./support/agent.ts";
import { signToken } from "./support/token.ts";

describe("SHARDS", () => {
  test.each([
    [{}, 1, 1],
    [{ SHARDS: "" }, 1, 1],
    [{ SHARDS: "4" }, 4, 4],
    [{ SHARDS: "1000" }, 1000, 1000],
    [{ SHARDS: "shop=4" }, 4, 1],
    [{ SHARDS: "shop=4,*=2" }, 4, 2],
    [{ SHARDS: "*=2, shop=4" }, 4, 2],
    [{ SHARDS: "blog=7,a-1=3" }, 1, 1],
  ])("%j is %i for shop and %i for others", (configured, shop, others) => {
    expect(shardsOf("shop", configured)).toBe(shop);
    expect(shardsOf("other", configured)).toBe(others);
  });

  test.each(["0", "1001", "-1", "1.5", "four", "shop=", "=4", "shop=0", "4,", "shop:4", "Shop=4"])(
    "%j is a fault that is said, not guessed",
    (SHARDS) => {
      expect(() => shardsOf("shop", { SHARDS })).toThrow(
        `SHARDS is a number from 1 to 1000, or some by service as in shop=4,*=1, not "${SHARDS}"`,
      );
    },
  );

  test("may be any text: it is counts within bounds, or a fault", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          const { of, others } = shardCounts(text);
          for (const count of [...of.values(), others]) {
            expect(count).toBeGreaterThanOrEqual(1);
            expect(count).toBeLessThanOrEqual(MAX_SHARDS);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(TunnelError);
        }
      }),
    );
  });
});

test("the first shard is the service's own object, and no shard is another service's", () => {
  expect([0, 1, 12].map((shard) => shardName("shop", shard))).toEqual([
    "shop",
    "shop#1",
    "shop#12",
  ]);
});

test("a draw is always a shard that there is, and every shard is drawn as often", () => {
  const draws = Array.from({ length: 3000 }, (_, i) => pickShard(3, i / 3000));
  for (const shard of [0, 1, 2]) expect(draws.filter((each) => each === shard)).toHaveLength(1000);
  expect(pickShard(3, 1 - 2 ** -53)).toBe(2);
});

test("an upgrade says which shard it is for", () => {
  const url = "https://edge.test/websocket/shop";
  expect(dialledShard(url)).toBe(0);
  expect(dialledShard(`${url}?shard=12`)).toBe(12);
  for (const bad of ["-1", "1.5", "1000", "x", "1e9"]) {
    expect(() => dialledShard(`${url}?shard=${bad}`)).toThrow(TunnelError);
  }
});

test("LOCATION_HINT is one of Cloudflare's, or a fault that is said", () => {
  expect(placement({})).toBeUndefined();
  expect(placement({ LOCATION_HINT: "" })).toBeUndefined();
  expect(placement({ LOCATION_HINT: "weur" })).toEqual({ locationHint: "weur" });
  expect(() => placement({ LOCATION_HINT: "mars" })).toThrow(/one of wnam, .*, me, not "mars"/);
});

/** What the Worker answers when it is configured so; the objects know nothing of it. */
async function ask(url: string, SHARDS: string, init?: RequestInit): Promise<Response> {
  return worker.fetch(new Request(`https://edge.test${url}`, init), { ...env, SHARDS });
}

const agents: FakeAgent[] = [];
afterEach(() => {
  for (const agent of agents.splice(0)) agent.close();
  vi.restoreAllMocks();
});

async function connect(service: string, shard: number, origin?: Origin): Promise<FakeAgent> {
  const agent = await FakeAgent.connect({
    service,
    shard,
    origin: origin ?? (async (exchange) => reply(exchange, `${shard}:${await bodyOf(exchange)}`)),
  });
  agents.push(agent);
  return agent;
}

/** The next draws are these shards of three. */
function draw(...shards: number[]): void {
  const random = vi.spyOn(Math, "random");
  for (const shard of shards) random.mockReturnValueOnce((shard + 0.5) / 3);
}

test("requests go to the shard that was drawn, each to its own agent", async () => {
  const service = newService();
  for (const shard of [0, 1, 2]) await connect(service, shard);
  draw(2, 0, 1);
  const answers: string[] = [];
  for (const nth of [1, 2, 3]) {
    const init = { method: "POST", body: `nth ${nth}` };
    answers.push(await (await ask(`/send/${service}/`, "3", init)).text());
  }
  expect(answers).toEqual(["2:nth 1", "0:nth 2", "1:nth 3"]);
});

test("a shard that no agent has dialled yet hands over what it gets, bodies and all", async () => {
  const service = newService();
  await connect(service, 0);
  draw(1, 2);
  const init = { method: "POST", body: "x".repeat(100_000) };
  expect(await (await ask(`/send/${service}/`, "3", init)).text()).toBe(`0:${init.body}`);
  expect(await (await ask(`/send/${service}/`, "3")).text()).toBe("0:");
});

test("a shard whose agents drain because it is one too many hands over what it still gets", async () => {
  const service = newService();
  await connect(service, 0);
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const surplus = await connect(service, 2, async (exchange) => {
    begun.resolve();
    await end.promise;
    reply(exchange, "finished");
  });
  draw(2);
  const held = ask(`/send/${service}/`, "3");
  await begun.promise;
  surplus.dialer.drain("fewer shards");
  await vi.waitFor(async () => {
    draw(2);
    expect(await (await ask(`/send/${service}/`, "3")).text()).toBe("0:");
  });
  end.resolve();
  expect(await (await held).text()).toBe("finished");
});

test("without any agent every shard says so at once", async () => {
  const service = newService();
  for (const shard of [0, 1, 2]) {
    draw(shard);
    const response = await ask(`/send/${service}/`, "3");
    expect(response.status).toBe(503);
    expect(response.headers.get("sluice-error")).toBe("agent-offline");
  }
});

test("an agent may dial a shard that is one too many: it may have something to finish", async () => {
  const response = await upgrade({ service: newService(), shard: 999 });
  expect(response.status).toBe(101);
  response.webSocket?.accept();
  response.webSocket?.close();
  const refused = await upgrade({ service: newService(), shard: 1000 });
  expect([refused.status, refused.headers.get("sluice-error")]).toEqual([400, "bad-request"]);
});

describe("an agent that asks how many shards there are", () => {
  test("is told, and no object is woken for it", async () => {
    const service = newService();
    const authorization = `Bearer ${await signToken({ service })}`;
    const get = vi.spyOn(env.CORRELATOR, "getByName");
    const response = await ask(`/shards/${service}`, "7", { headers: { authorization } });
    expect([response.status, response.headers.get("sluice-shards")]).toEqual([204, "7"]);
    expect(response.headers.get("sluice-edge")).toMatch(/^sluice-edge\/\d/);
    expect(get).not.toHaveBeenCalled();
  });

  test("needs its token", async () => {
    const service = newService();
    const authorization = `Bearer ${await signToken({ service, role: "visitor" })}`;
    for (const headers of [{}, { authorization }]) {
      const response = await ask(`/shards/${service}`, "7", { headers });
      expect(response.status).toBe(401);
      expect(response.headers.has("sluice-shards")).toBe(false);
    }
  });
});

test("the status page adds the shards up and says which agent is where", async () => {
  const service = newService();
  for (const shard of [0, 2]) await connect(service, shard);
  draw(0, 2, 2);
  for (const body of ["1", "22", "333"]) {
    await (await ask(`/send/${service}/`, "3", { method: "POST", body })).text();
  }
  const authorization = `Bearer ${await signToken({ service })}`;
  const response = await ask(`/status/${service}`, "3", { headers: { authorization } });
  expect(await response.json()).toMatchObject({
    service,
    shards: 3,
    unavailable: [],
    agents: [
      { shard: 0, ready: true },
      { shard: 2, ready: true },
    ],
    waiting: 0,
    totals: { requests: 3, failures: {}, bytesFromVisitors: 6, bytesToVisitors: 12 },
  });
});

test("a SHARDS or a LOCATION_HINT that means nothing fails every request, and never guesses", async () => {
  const log = vi.spyOn(console, "error").mockImplementation(() => {});
  for (const wrong of [{ SHARDS: "many" }, { LOCATION_HINT: "mars" }]) {
    const request = new Request(`https://edge.test/send/${newService()}/`);
    const response = await worker.fetch(request, { ...env, ...wrong });
    expect(response.headers.get("sluice-error")).toBe("internal-error");
  }
  expect(log).toHaveBeenCalledTimes(2);
});
