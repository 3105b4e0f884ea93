import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import { errors } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { bodyOf, FakeAgent, newAgentId, newService, reply, send } from "./support/agent.ts";
import { signToken } from "./support/token.ts";
import { SOON_MS } from "./support/soon.ts";

const text = async (service: string): Promise<string> => (await send(service)).text();

test("an idle tunnel answers after hibernation over the same socket", async () => {
  const service = newService();
  let closed = false;
  const agent = await FakeAgent.connect({
    service,
    origin: async (exchange) => reply(exchange, `echo ${await bodyOf(exchange)}`),
  });
  void agent.closed.then(() => (closed = true));
  const stub = env.CORRELATOR.getByName(service);
  for (let sleep = 0; sleep < 3; sleep++) {
    await evictDurableObject(stub, { webSockets: "hibernate" });
    for (const body of ["a", "b"]) {
      const response = await send(service, "/", { method: "POST", body });
      expect(await response.text()).toBe(`echo ${body}`);
    }
  }
  expect(closed).toBe(false);
  agent.close();
});

test("the status survives: the same agent, connected since the same moment, in a session of a new name", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service });
  const token = await signToken({ service });
  const stub = env.CORRELATOR.getByName(service);
  const status = async (): Promise<{ agent: string; session: string; connectedAt: number }> => {
    const headers = { authorization: `Bearer ${token}` };
    const page = await stub.fetch(`https://edge.test/status/${service}`, { headers });
    const { agents } = await page.json<{ agents: Awaited<ReturnType<typeof status>>[] }>();
    expect(agents).toHaveLength(1);
    return agents[0] as (typeof agents)[0];
  };
  const before = await status();
  await evictDurableObject(stub, { webSockets: "hibernate" });
  const after = await status();
  expect([after.agent, after.connectedAt]).toEqual([before.agent, before.connectedAt]);
  expect(after.session).not.toBe(before.session);
  agent.close();
});

test("an agent is known again after hibernation: its newer socket gets the requests, not the sleeping one", async () => {
  const service = newService();
  const identity = { agent: newAgentId(), token: await signToken({ service }) };
  const origin = (name: string) => ({
    origin: (exchange: Parameters<typeof reply>[0]): void => reply(exchange, name),
  });
  const first = await FakeAgent.connect({ service, ...identity, ...origin("first") });
  await evictDurableObject(env.CORRELATOR.getByName(service), { webSockets: "hibernate" });
  const second = await FakeAgent.connect({ service, ...identity, ...origin("second") });
  expect(await text(service)).toBe("second");
  first.close();
  second.close();
});

test("an agent that leaves while the object sleeps is gone when it wakes", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service, origin: (exchange) => reply(exchange) });
  await evictDurableObject(env.CORRELATOR.getByName(service), { webSockets: "hibernate" });
  agent.close();
  expect((await agent.closed).code).toBe(4000 + errors["shutting-down"].wire);
});

test("eviction that closes the sockets is seen by the agent, and the next one serves", async () => {
  const service = newService();
  const first = await FakeAgent.connect({ service });
  await evictDurableObject(env.CORRELATOR.getByName(service), { webSockets: "close" });
  await first.closed;
  const second = await FakeAgent.connect({ service, origin: (exchange) => reply(exchange, "2nd") });
  expect(await text(service)).toBe("2nd");
  second.close();
});

test("an attachment of other code closes the socket, so that the agent dials again", async () => {
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const service = newService();
  const agent = await FakeAgent.connect({ service });
  const stub = env.CORRELATOR.getByName(service);
  await runInDurableObject(stub, (_, ctx) => {
    for (const ws of ctx.getWebSockets()) ws.serializeAttachment({ version: 1 });
  });
  await evictDurableObject(stub, { webSockets: "hibernate" });
  expect((await send(service)).status).toBe(503);
  expect((await agent.closed).code).toBe(1001);
  expect(log).toHaveBeenCalledOnce();
  log.mockRestore();
});

test("the attachment is written once, not by requests", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service, origin: (exchange) => reply(exchange, "x") });
  const stub = env.CORRELATOR.getByName(service);
  await evictDurableObject(stub, { webSockets: "hibernate" });
  const writes = await runInDurableObject(stub, (_, ctx) =>
    ctx.getWebSockets().map((ws) => vi.spyOn(ws, "serializeAttachment")),
  );
  expect(writes).toHaveLength(1);
  for (let i = 0; i < 3; i++) await text(service);
  for (const write of writes) expect(write).not.toHaveBeenCalled();
  agent.close();
});

test("an agent that takes over makes those drain that the object has slept beside", async () => {
  const service = newService();
  const drained: string[] = [];
  const old = await FakeAgent.connect({ service, draining: (code) => drained.push(code) });
  await evictDurableObject(env.CORRELATOR.getByName(service), { webSockets: "hibernate" });
  const heir = await FakeAgent.connect({
    service,
    origin: (exchange) => reply(exchange, "heir"),
    headers: { "sluice-replace": "1" },
  });
  await vi.waitFor(() => expect(drained).toEqual(["replaced"]), SOON_MS);
  for (let i = 0; i < 3; i++) expect(await text(service)).toBe("heir");
  old.close();
  heir.close();
});

test("an object that was reset in the middle tells the agent, whose requests end there, and serves new ones", async () => {
  // The Worker says why its object did not answer.
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const service = newService();
  const begun = Promise.withResolvers<Exchange>();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      if (exchange.request.path === "/held") begun.resolve(exchange);
      else reply(exchange, "new");
    },
  });
  const cut = expect(send(service, "/held")).resolves.toMatchObject({ status: 502 });
  const exchange = await begun.promise;
  const stub = env.CORRELATOR.getByName(service);
  await runInDurableObject(stub, (_, ctx) => ctx.abort("a deploy")).catch(() => undefined);
  await cut;
  await agent.closed;
  await agent.redial();
  expect(agent.resumed).toEqual([false, false]);
  expect(exchange.error?.code).toBe("agent-lost");
  expect(await text(service)).toBe("new");
  expect(log).toHaveBeenCalledOnce();
  log.mockRestore();
  agent.close();
});
