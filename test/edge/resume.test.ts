/** An agent's socket breaks: what is under way goes on over its next one, what arrives meanwhile waits. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import type { Exchange } from "../../codec/exchange.ts";
import { Correlator } from "../../edge/correlator.ts";
import { graceMsOf } from "../../edge/grace.ts";
import { bodyOf, FakeAgent, newService, reply, send } from "./support/agent.ts";
import { statusWhen } from "./support/status.ts";

const kilobyte = "0123456789abcdef".repeat(64);

test("a download goes on, byte-exact", async () => {
  const service = newService();
  const begun = Promise.withResolvers<Exchange>();
  const agent = await FakeAgent.connect({ service, origin: begun.resolve });
  const answer = send(service);
  const exchange = await begun.promise;
  exchange.respond({ status: 200, reason: "OK", headers: [], length: 20 * 1024 });
  for (let i = 0; i < 20; i++) {
    exchange.outgoing.write(new TextEncoder().encode(kilobyte));
    if (i % 5 !== 4) continue;
    agent.break();
    await agent.redial();
  }
  exchange.outgoing.end();
  expect(await (await answer).text()).toBe(kilobyte.repeat(20));
  expect(agent.resumed).toEqual([false, true, true, true, true]);
  agent.close();
});

test("an upload goes on, byte-exact", async () => {
  const service = newService();
  const begun = Promise.withResolvers<Exchange>();
  const agent = await FakeAgent.connect({ service, origin: begun.resolve });
  const body = new TransformStream<Uint8Array, Uint8Array>();
  const writer = body.writable.getWriter();
  const answer = send(service, "/", { method: "POST", body: body.readable });
  const exchange = await begun.promise;
  const got = bodyOf(exchange);
  for (let i = 0; i < 20; i++) {
    await writer.write(new TextEncoder().encode(kilobyte));
    if (i % 7 !== 3) continue;
    agent.break();
    await agent.redial();
  }
  await writer.close();
  reply(exchange, String((await got) === kilobyte.repeat(20)));
  expect(await (await answer).text()).toBe("true");
  agent.close();
});

test("requests that arrive while an agent is away wait, and go through when it is back", async () => {
  const service = newService();
  const begun = Promise.withResolvers<Exchange>();
  let asked = 0;
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      if (++asked === 1) begun.resolve(exchange);
      else reply(exchange, "here I am again");
    },
  });
  const first = send(service);
  const exchange = await begun.promise;
  agent.break();
  const waiting = Array.from({ length: 10 }, () => send(service));
  await agent.redial();
  for (const answer of waiting) expect(await (await answer).text()).toBe("here I am again");
  reply(exchange, "first");
  expect(await (await first).text()).toBe("first");
  agent.close();
});

test("an agent that was idle when its socket broke is waited for too", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service, origin: (exchange) => reply(exchange, "back") });
  agent.break();
  await agent.closed;
  const answer = send(service);
  await agent.redial();
  expect(await (await answer).text()).toBe("back");
  agent.close();
});

test("beyond the grace they are told to come again", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service });
  agent.break();
  await agent.closed;
  const response = await send(service);
  expect([response.status, response.headers.get("sluice-error")]).toEqual([503, "agent-offline"]);
  expect(response.headers.get("retry-after")).toBe("2");
});

test("an edge that ends lets nobody wait for agents that it has sent away", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service });
  agent.break();
  await agent.closed;
  const waiting = send(service);
  await statusWhen(service, (page) => page.waiting === 1);
  const stub = env.CORRELATOR.getByName(service);
  await runInDurableObject(stub, (object) => (object as unknown as Correlator).dismiss());
  for (const response of [await waiting, await send(service)]) {
    expect([response.status, response.headers.get("sluice-error")]).toEqual([503, "draining"]);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
  }
});

test("an agent that said goodbye is not waited for", async () => {
  const [gone, left] = [newService(), newService()];
  const lost = await FakeAgent.connect({ service: gone });
  const agent = await FakeAgent.connect({ service: left });
  lost.break();
  await lost.closed;
  agent.close(4041);
  await agent.closed;
  const ended: string[] = [];
  const ask = async (service: string): Promise<void> => {
    expect((await send(service)).headers.get("sluice-error")).toBe("agent-offline");
    ended.push(service);
  };
  // Who asks for one that was lost waits until its grace, a second here, is over.
  await Promise.all([ask(gone), ask(left)]);
  expect(ended).toEqual([left, gone]);
});

test("GRACE_SECONDS is a number of seconds up to an hour, 15 when it is not given, and nothing else", () => {
  const of = (GRACE_SECONDS?: string): number =>
    graceMsOf(GRACE_SECONDS === undefined ? {} : { GRACE_SECONDS });
  expect([of(), of(""), of("0"), of("2.5"), of("3600")]).toEqual([
    15_000, 15_000, 0, 2500, 3_600_000,
  ]);
  for (const bad of ["-1", "3600.5", "3601", "soon", "15s", " ", "0x10", "1e3"])
    expect(() => of(bad)).toThrow(/GRACE_SECONDS/);
});

test("an object with a wrong GRACE_SECONDS says that the fault is the edge's, and the log which", async () => {
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const stub = env.CORRELATOR.getByName(newService());
  const answer = await runInDurableObject(stub, (_object, state) =>
    new Correlator(state, { ...env, GRACE_SECONDS: "soon" }).fetch(
      new Request("https://edge.test/send/shop/"),
    ),
  );
  expect([answer.status, answer.headers.get("sluice-error")]).toEqual([502, "internal-error"]);
  expect(JSON.stringify(log.mock.calls)).toContain("GRACE_SECONDS must be");
  log.mockRestore();
});
