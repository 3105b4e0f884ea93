import { describe, expect, test } from "vitest";
import { Waiting } from "../../edge/waiting.ts";
import { FakeAgent, newService, reply, send } from "./support/agent.ts";

const nobody = new AbortController().signal;

const LONG_MS = 60_000;
const few = { most: 2, mostBytes: 100 };

describe("waiting", () => {
  test("ends with the release of all", async () => {
    const waiting = new Waiting(few);
    const all = [waiting.wait(nobody, LONG_MS, 1), waiting.wait(nobody, LONG_MS, 1)];
    expect(waiting.size).toBe(2);
    waiting.release();
    await Promise.all(all);
    expect(waiting.size).toBe(0);
  });

  test("ends when its time is over", async () => {
    const waiting = new Waiting(few);
    await waiting.wait(nobody, 1, 1);
    expect(waiting.size).toBe(0);
  });

  test("ends when the visitor goes away", async () => {
    const waiting = new Waiting(few);
    const visitor = new AbortController();
    const wait = waiting.wait(visitor.signal, LONG_MS, 1);
    visitor.abort();
    await expect(wait).rejects.toMatchObject({ code: "cancelled" });
    expect(waiting.size).toBe(0);
    await expect(waiting.wait(visitor.signal, LONG_MS, 1)).rejects.toMatchObject({
      code: "cancelled",
    });
  });

  test.each([
    ["so many", [1, 1], 1],
    ["so many bytes", [100], 1],
  ])("is for %s and no more", async (_, sizes, more) => {
    const waiting = new Waiting(few);
    const all = sizes.map((bytes) => waiting.wait(nobody, LONG_MS, bytes));
    expect(waiting.size).toBe(sizes.length);
    await waiting.wait(nobody, LONG_MS, more);
    expect(waiting.size).toBe(sizes.length);
    waiting.release();
    await Promise.all(all);
    const after = waiting.wait(nobody, LONG_MS, 100);
    expect(waiting.size).toBe(1);
    waiting.release();
    await after;
  });
});

test("a request waits for an agent that is greeting", async () => {
  const service = newService();
  const origin = (exchange: Parameters<typeof reply>[0]): void => reply(exchange, "here I am");
  const agent = await FakeAgent.dial({ service, greets: false, origin });
  const answer = send(service);
  agent.greet();
  expect(await (await answer).text()).toBe("here I am");
  agent.close();
});

test("requests wait for an agent that was here a moment ago", async () => {
  const service = newService();
  const first = await FakeAgent.connect({ service });
  first.close(1001);
  await first.closed;
  const answers = [send(service, "/1"), send(service, "/2")];
  const origin = (exchange: Parameters<typeof reply>[0]): void => reply(exchange, "back");
  const second = await FakeAgent.connect({ service, origin });
  for (const answer of answers) expect(await (await answer).text()).toBe("back");
  second.close();
});

test("a visitor who leaves while waiting is not served later", async () => {
  const service = newService();
  const first = await FakeAgent.connect({ service });
  first.close();
  await first.closed;
  const visitor = new AbortController();
  const answer = send(service, "/gone", { signal: visitor.signal });
  visitor.abort();
  await expect(answer).rejects.toThrow();
  const paths: string[] = [];
  const second = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      paths.push(exchange.request.path);
      reply(exchange);
    },
  });
  await send(service, "/here");
  expect(paths).toEqual(["/here"]);
  second.close();
});
