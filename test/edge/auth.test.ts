import { env, exports } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import type { Env } from "../../edge/env.ts";
import worker from "../../edge/worker.ts";
import { FakeAgent, newService, reply, upgrade } from "./support/agent.ts";
import { statusOf } from "./support/status.ts";
import { signToken, type TokenOptions } from "./support/token.ts";

/** The Worker with other variables than the tests' own. A namespace that must not be used shows that no object is touched. */
function fetchWith(changes: Partial<Env>, path: string, init?: RequestInit): Promise<Response> {
  const changed = { ...env, ...changes };
  return Promise.resolve(worker.fetch(new Request(`https://edge.test${path}`, init), changed));
}

const untouchable = {
  getByName: () => {
    throw new Error("an object was touched");
  },
} as unknown as DurableObjectNamespace;

function upgradeInit(token: string | undefined): RequestInit {
  const headers: Record<string, string> = {
    upgrade: "websocket",
    "sec-websocket-protocol": "other, sluice.v1",
    "sluice-agent": "0123456789abcdef",
  };
  if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
  return { headers };
}

describe("an agent is refused before any object is touched, with a token that", () => {
  const faults: Record<string, Partial<TokenOptions>> = {
    "is for another service": { service: "other" },
    "is a visitor's": { role: "visitor" },
    "has no known role": { role: "admin" },
    "has expired": { expiresIn: -1 },
    "is signed with another secret": { secret: "another secret, just as long as the right one" },
    "is of another issuer": { issuer: "someone" },
    "is for another audience": { audience: "someone" },
    "is signed with another algorithm": { algorithm: "HS512" },
    "has no id": { id: "" },
    "has an id too long for a tag": { id: "x".repeat(129) },
  };
  test.each(Object.entries(faults))("%s", async (_, fault) => {
    const token = await signToken({ service: "shop", ...fault });
    const bindings = { CORRELATOR: untouchable };
    for (const path of ["/websocket/shop", "/status/shop"]) {
      const response = await fetchWith(bindings, path, upgradeInit(token));
      expect(response.status).toBe(401);
      expect(response.headers.get("sluice-error")).toBe("unauthorized");
      expect(response.headers.get("www-authenticate")).toContain("Bearer");
    }
  });

  test.each([undefined, "", "x", "a.b.c", "x".repeat(5000)])("is %s", async (token) => {
    const response = await fetchWith(
      { CORRELATOR: untouchable },
      "/websocket/shop",
      upgradeInit(token),
    );
    expect(response.status).toBe(401);
    expect(await response.text()).toContain("agent token");
  });

  test("claims the algorithm none", async () => {
    const [, payload] = (await signToken({ service: "shop" })).split(".");
    const header = btoa(JSON.stringify({ alg: "none" })).replaceAll("=", "");
    for (const token of [`${header}.${payload}.`, `${header}.${payload}.x`]) {
      const response = await fetchWith(
        { CORRELATOR: untouchable },
        "/websocket/shop",
        upgradeInit(token),
      );
      expect(response.status).toBe(401);
    }
  });
});

test("a good token opens the socket, with the subprotocol chosen and who else is let in", async () => {
  const response = await upgrade({ service: newService() });
  expect(response.status).toBe(101);
  expect(response.headers.get("sec-websocket-protocol")).toBe("sluice.v1");
  expect(response.headers.get("sluice-visitors")).toBe("public");
  response.webSocket?.accept();
  response.webSocket?.close(1000);
});

describe("while the secret is rotated", () => {
  const before = "the secret of last month, which is retired";
  const after = "the secret of this month, which is as long";
  const during = { TUNNEL_SECRET: after, TUNNEL_SECRET_PREVIOUS: before };

  /** What an agent with a token of `secret` is answered on the way to the object, and what the object is told. */
  async function upgradeWith(
    changes: Partial<Env>,
    secret: string,
  ): Promise<{ status: number; told: string | null | undefined }> {
    let told: string | null | undefined;
    const object = {
      fetch: (request: Request) => {
        told = request.headers.get("sluice-secret");
        return Promise.resolve(new Response());
      },
    };
    const CORRELATOR = { getByName: () => object } as unknown as DurableObjectNamespace;
    const token = await signToken({ service: "shop", secret });
    const init = upgradeInit(token);
    const { status } = await fetchWith({ ...changes, CORRELATOR }, "/websocket/shop", init);
    return { status, told };
  }

  test("tokens of both secrets are good, and the object is told which of them is not for long", async () => {
    expect(await upgradeWith(during, after)).toEqual({ status: 200, told: null });
    expect(await upgradeWith(during, before)).toEqual({ status: 200, told: "previous" });
  });

  test("so are visitors' tokens, and those that ask for the status", async () => {
    const CORRELATOR = {
      getByName: () => ({ fetch: () => Promise.resolve(new Response("{}")) }),
    } as unknown as DurableObjectNamespace;
    const closed = { ...during, CORRELATOR, VISITORS: "token" };
    for (const secret of [before, after]) {
      const visitor = await signToken({ service: "shop", role: "visitor", secret });
      const init = { headers: { "sluice-token": visitor } };
      expect((await fetchWith(closed, "/send/shop/", init)).status).toBe(200);
      const agent = await signToken({ service: "shop", secret });
      const authorization = { headers: { authorization: `Bearer ${agent}` } };
      expect((await fetchWith(closed, "/shards/shop", authorization)).status).toBe(204);
    }
  });

  test("no other is", async () => {
    const other = "the secret of the year before, as long too";
    expect(await upgradeWith(during, other)).toEqual({ status: 401, told: undefined });
  });

  test("before it tokens of the old one are good, and after it only those of the new one", async () => {
    expect(await upgradeWith({ TUNNEL_SECRET: before }, before)).toEqual({
      status: 200,
      told: null,
    });
    expect((await upgradeWith({ TUNNEL_SECRET: after }, before)).status).toBe(401);
    expect((await upgradeWith({ TUNNEL_SECRET: after }, after)).status).toBe(200);
  });

  test.each(["", "short"])("a previous secret of %o is none", async (previous) => {
    const half = { TUNNEL_SECRET: after, TUNNEL_SECRET_PREVIOUS: previous };
    expect((await upgradeWith(half, previous.padEnd(32, "x"))).status).toBe(401);
    expect((await upgradeWith(half, after)).status).toBe(200);
  });

  test("an agent with a token of the old one is let in", async () => {
    const service = newService();
    const token = await signToken({ service, secret: before });
    const response = await fetchWith(during, `/websocket/${service}`, upgradeInit(token));
    expect(response.status).toBe(101);
    response.webSocket?.accept();
    response.webSocket?.close(1000);
  });

  test("the status says which agents have to get a new token, also after a sleep", async () => {
    const service = newService();
    const headers = { "sluice-secret": "previous" };
    const old = await FakeAgent.connect({ service, headers });
    const fresh = await FakeAgent.connect({ service });
    const secrets = async (): Promise<unknown[]> =>
      (await statusOf(service)).agents.map(({ secret }) => secret);
    expect(await secrets()).toEqual(["previous", "current"]);
    await evictDurableObject(env.CORRELATOR.getByName(service), { webSockets: "hibernate" });
    expect(new Set(await secrets())).toEqual(new Set(["current", "previous"]));
    for (const agent of [old, fresh]) agent.close();
  });
});

test.each([{ TUNNEL_SECRET: "" }, { TUNNEL_SECRET: "x".repeat(31) }])(
  "without a usable secret (%o) nobody gets in, and the log says why",
  async (changes) => {
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const secret = changes.TUNNEL_SECRET === "" ? "\0" : changes.TUNNEL_SECRET;
    const token = await signToken({ service: "shop", secret });
    const bindings = { ...changes, CORRELATOR: untouchable };
    const response = await fetchWith(bindings, "/websocket/shop", upgradeInit(token));
    expect(response.status).toBe(502);
    expect(response.headers.get("sluice-error")).toBe("internal-error");
    expect(await response.text()).not.toContain("TUNNEL_SECRET");
    expect(JSON.stringify(log.mock.calls)).toContain("TUNNEL_SECRET");
    log.mockRestore();
  },
);

describe("with VISITORS=token", () => {
  const closed = { VISITORS: "token" };

  test("a visitor without a token is refused before any object is touched", async () => {
    const bindings = { ...closed, CORRELATOR: untouchable };
    expect((await fetchWith(bindings, "/send/shop/")).status).toBe(401);
    const other = await signToken({ service: "other", role: "visitor" });
    const init = { headers: { "sluice-token": other } };
    expect((await fetchWith(bindings, "/send/shop/", init)).status).toBe(401);
  });

  test.each(["visitor", "agent"])("the token of a %s passes and is not forwarded", async (role) => {
    const service = newService();
    const agent = await FakeAgent.connect({
      service,
      origin: (exchange) => reply(exchange, JSON.stringify(exchange.request.headers)),
    });
    const token = await signToken({ service, role });
    const headers = { "sluice-token": token, authorization: "Basic abc" };
    const response = await fetchWith(closed, `/send/${service}/`, { headers });
    const origin = await response.text();
    expect(origin).not.toContain(token);
    expect(origin).toContain("Basic abc");
    agent.close();
  });

  test("a typing error in the variable opens nothing", async () => {
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const bindings = { VISITORS: "tokens", CORRELATOR: untouchable };
    const response = await fetchWith(bindings, "/send/shop/");
    expect(response.headers.get("sluice-error")).toBe("internal-error");
    expect(JSON.stringify(log.mock.calls)).toContain("VISITORS");
    log.mockRestore();
  });
});

test("an upgrade that is not an agent's is told so before its token is looked at", async () => {
  const good = upgradeInit(await signToken({ service: "shop" }));
  const without = (name: string, value?: string): RequestInit => {
    const headers = new Headers(good.headers);
    headers.delete(name);
    if (value !== undefined) headers.set(name, value);
    return { headers };
  };
  for (const init of [
    without("upgrade"),
    without("sec-websocket-protocol"),
    without("sec-websocket-protocol", "sluice.v2"),
    without("upgrade", "h2c"),
    { ...good, method: "POST" },
  ]) {
    const response = await fetchWith({ CORRELATOR: untouchable }, "/websocket/shop", init);
    expect(response.status).toBe(426);
    expect(response.headers.get("sluice-error")).toBe("upgrade-required");
  }
});

test.each(["", "short", "has spaces in it, many", "x".repeat(65)])(
  "an agent whose id is %o is refused",
  async (agent) => {
    const response = await upgrade({ service: newService(), agent });
    expect(response.status).toBe(400);
    expect(response.headers.get("sluice-error")).toBe("bad-request");
  },
);

test("the Worker turns what the platform throws into an answer", async () => {
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const throwing = (error: Error): DurableObjectNamespace =>
    ({ getByName: () => ({ fetch: () => Promise.reject(error) }) }) as never;
  const overload = Object.assign(new Error("too many requests queued"), { overloaded: true });
  const busy = await fetchWith({ CORRELATOR: throwing(overload) }, "/send/shop/");
  expect([busy.status, busy.headers.get("sluice-error")]).toEqual([503, "overloaded"]);
  const reset = await fetchWith({ CORRELATOR: throwing(new Error("reset")) }, "/send/shop/");
  expect([reset.status, reset.headers.get("sluice-error")]).toEqual([502, "agent-lost"]);
  expect(log).toHaveBeenCalledTimes(2);
  log.mockRestore();
});

test("no route is an answer of its own", async () => {
  const response = await exports.default.fetch("https://edge.test/");
  expect(response.status).toBe(404);
  expect(response.headers.get("sluice-error")).toBe("no-route");
});
