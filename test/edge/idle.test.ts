import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeAgent, newService, reply, send } from "./support/agent.ts";
import { SOON_MS } from "./support/soon.ts";

/** Timers that are set and neither fired nor cleared: the object runs in this isolate and uses these functions. */
const pending = new Set<unknown>();

beforeEach(() => {
  pending.clear();
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  vi.spyOn(globalThis, "setTimeout").mockImplementation(((call: () => void, ms?: number) => {
    const timer: unknown = set(() => {
      pending.delete(timer);
      call();
    }, ms);
    pending.add(timer);
    return timer;
  }) as never);
  vi.spyOn(globalThis, "clearTimeout").mockImplementation(((timer: never) => {
    pending.delete(timer);
    clear(timer);
  }) as never);
});

afterEach(() => vi.restoreAllMocks());

test("one timer is pending while requests are under way, and none when the last is over", async () => {
  const service = newService();
  const hold = Promise.withResolvers<void>();
  const both = Promise.withResolvers<void>();
  let begun = 0;
  const agent = await FakeAgent.connect({
    service,
    origin: async (exchange) => {
      if (++begun === 2) both.resolve();
      await hold.promise;
      reply(exchange, "done", exchange.request.path === "/stream" ? { length: "unknown" } : {});
    },
  });
  expect(pending.size).toBe(0);
  const answers = [send(service, "/stream"), send(service, "/small")];
  await both.promise;
  expect(pending.size).toBe(1);
  hold.resolve();
  for (const answer of answers) await (await answer).text();
  expect(pending.size).toBe(0);
  agent.close();
});

test.each(["the visitor", "the agent", "the origin"])(
  "no timer is left when %s ends a request early",
  async (who) => {
    const service = newService();
    const cancelled = Promise.withResolvers<void>();
    const agent = await FakeAgent.connect({
      service,
      origin: (exchange) => {
        exchange.onCancel = () => cancelled.resolve();
        exchange.respond({ status: 200, reason: "OK", headers: [], length: "unknown" });
        exchange.outgoing.write(new Uint8Array(1));
        if (who === "the origin") setTimeout(() => exchange.cancel("origin-reset"));
      },
    });
    const reader = (await send(service)).body?.getReader();
    await reader?.read();
    if (who === "the visitor") {
      await reader?.cancel();
      await cancelled.promise;
    } else {
      if (who === "the agent") agent.close(4041);
      await expect(reader?.read()).rejects.toThrow();
    }
    expect(pending.size).toBe(0);
    agent.close();
  },
);

test("no timer is left behind a refusal", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => exchange.cancel("origin-refused"),
  });
  await (await send(service)).text();
  await (await send(newService())).text();
  expect(pending.size).toBe(0);
  agent.close();
});

test("no timer is left when the agent that a request waited for has come", async () => {
  const service = newService();
  const agent = await FakeAgent.dial({
    service,
    greets: false,
    origin: (exchange) => reply(exchange, "here"),
  });
  const answer = send(service);
  await vi.waitFor(() => expect(pending.size).toBe(1), SOON_MS);
  agent.greet();
  expect(await (await answer).text()).toBe("here");
  expect(pending.size).toBe(0);
  agent.close();
});
