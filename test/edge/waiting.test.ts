import { describe, expect, test } from "vitest";
import { Waiting } from "../../edge/waiting.ts";
import { FakeAgent, newService, reply, send } from "./support/agent.ts";

const nobody = new AbortController().signal;

describe("waiting", () => {
  test("ends with the release of all", async () => {
    const waiting = new Waiting(60_000, 10);
    const all = [waiting.wait(nobody), waiting.wait(nobody)];
    expect(waiting.size).toBe(2);
    waiting.release();
    await Promise.all(all);
    expect(waiting.size).toBe(0);
  });

  test("ends when its time is over", async () => {
    const waiting = new Waiting(1, 10);
    await waiting.wait(nobody);
    expect(waiting.size).toBe(0);
  });

  test("ends when the visitor goes away", async () => {
    const waiting = new Waiting(60_000, 10);
    const visitor = new AbortController();
    const wait = waiting.wait(visitor.signal);
    visitor.abort();
    await expect(wait).rejects.toMatchObject({ code: "cancelled" });
    expect(waiting.size).toBe(0);
    await expect(waiting.wait(visitor.signal)).rejects.toMatchObject({ code: "cancelled" });
  });

  test("is for so many and no more", async () => {
    const waiting = new Waiting(60_000, 2);
    const all = [waiting.wait(nobody), waiting.wait(nobody)];
    await waiting.wait(nobody);
    expect(waiting.size).toBe(2);
    waiting.release();
    await Promise.all(all);
  });
});

test("a request waits for an agent that is greeting", async () => {
  const service = newService();
  const origin = (exchange: Parameters<typeof reply>[0]): void => reply(exchange, "here I am");
  const agent = await FakeAgent.dial({ service, greets: false, origin });
  const answer = send(service);
  agent.session.greet();
  expect(await (await answer).text()).toBe("here I am");
  agent.close();
});

test("requests wait for an agent that was here a moment ago", async () => {
  const service = newService();
  const first = await FakeAgent.connect({ service });
  first.close();
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
