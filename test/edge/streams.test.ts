import { expect, test } from "vitest";
import type { Exchange } from "../../codec/exchange.ts";
import type { BodyLength } from "../../codec/frame.ts";
import { FakeAgent, newService, reply, send } from "./support/agent.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function begin(exchange: Exchange, length: BodyLength = "unknown"): void {
  exchange.respond({ status: 200, reason: "OK", headers: [], length });
}

/** The rest of a body, byte by byte sum and size: what a test compares with what was sent. */
async function drain(
  body: ReadableStream<Uint8Array> | null,
): Promise<{ bytes: number; sum: number }> {
  let bytes = 0;
  let sum = 0;
  if (body === null) return { bytes, sum };
  for await (const chunk of body) {
    for (const byte of chunk) sum = (sum * 31 + byte) % 1_000_003;
    bytes += chunk.byteLength;
  }
  return { bytes, sum };
}

/** `bytes` of a pattern, and the sum that `drain` finds. */
function pattern(bytes: number): { body: Uint8Array; sum: number } {
  const body = new Uint8Array(bytes);
  let sum = 0;
  for (let i = 0; i < bytes; i++) {
    body[i] = (i * 7 + (i >> 8)) & 0xff;
    sum = (sum * 31 + (body[i] ?? 0)) % 1_000_003;
  }
  return { body, sum };
}

test.each([3_000_000, "unknown"] as const)(
  "a large answer of length %s arrives byte-exact",
  async (length) => {
    const { body, sum } = pattern(3_000_000);
    const service = newService();
    const agent = await FakeAgent.connect({
      service,
      origin: async (exchange) => {
        begin(exchange, length);
        for (let at = 0; at < body.length; at += 100_000) {
          await exchange.outgoing.ready();
          exchange.outgoing.write(body.slice(at, at + 100_000));
        }
        exchange.outgoing.end();
      },
    });
    expect(await drain((await send(service)).body)).toEqual({ bytes: 3_000_000, sum });
    expect(agent.session.streams).toBe(0);
    agent.close();
  },
);

test("an answer is delivered as it comes", async () => {
  const service = newService();
  const next = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const agent = await FakeAgent.connect({
    service,
    origin: async (exchange) => {
      begin(exchange);
      exchange.outgoing.write(encode("one"));
      await next[0].promise;
      exchange.outgoing.write(encode("two"));
      await next[1].promise;
      exchange.outgoing.end();
    },
  });
  const reader = (await send(service)).body?.getReader();
  const read = async (): Promise<string | undefined> => {
    const got = await reader?.read();
    return got?.value && new TextDecoder().decode(got.value);
  };
  expect(await read()).toBe("one");
  next[0].resolve();
  expect(await read()).toBe("two");
  next[1].resolve();
  expect(await read()).toBeUndefined();
  agent.close();
});

test("a large upload arrives byte-exact, and the answer may be its echo while it still runs", async () => {
  const { body, sum } = pattern(1_000_000);
  const service = newService();
  const agent = await FakeAgent.connect({
    service,
    origin: async (exchange) => {
      begin(exchange);
      for await (const chunk of exchange.incoming) {
        exchange.outgoing.write(chunk.slice());
        await exchange.outgoing.ready();
      }
      exchange.outgoing.end();
    },
  });
  const response = await send(service, "/", { method: "POST", body });
  expect(await drain(response.body)).toEqual({ bytes: 1_000_000, sum });
  agent.close();
});

test("an upload is passed on as it is sent, and answered before it ends", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({
    service,
    origin: async (exchange) => {
      begin(exchange);
      for await (const chunk of exchange.incoming) {
        exchange.outgoing.write(encode(`got ${new TextDecoder().decode(chunk)}`));
      }
      exchange.outgoing.end();
    },
  });
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const first = writer.write(encode("a"));
  const response = await send(service, "/", { method: "POST", body: readable });
  const reader = response.body?.getReader();
  const read = async (): Promise<string> => new TextDecoder().decode((await reader?.read())?.value);
  expect(await read()).toBe("got a");
  await first;
  const second = writer.write(encode("b"));
  expect(await read()).toBe("got b");
  await second;
  const closed = writer.close();
  expect((await reader?.read())?.done).toBe(true);
  await closed;
  agent.close();
});

test("an upload waits while the agent gives no credit", async () => {
  const service = newService();
  const arrived = Promise.withResolvers<Exchange>();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      if (exchange.request.method === "POST") arrived.resolve(exchange);
      else reply(exchange);
    },
  });
  let pulled = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (++pulled > 100) controller.close();
      else controller.enqueue(new Uint8Array(16_384));
    },
  });
  const answer = send(service, "/", { method: "POST", body });
  const exchange = await arrived.promise;
  // Other exchanges there and back: what could have arrived of the first has arrived.
  for (let i = 0; i < 3; i++) await (await send(service)).text();
  expect(exchange.incoming.bufferedBytes).toBeLessThanOrEqual(16_384);
  let bytes = 0;
  for await (const chunk of exchange.incoming) bytes += chunk.length;
  expect(bytes).toBe(1_638_400);
  reply(exchange, "done");
  expect(await (await answer).text()).toBe("done");
  agent.close();
});

test("what the agent no longer needs of an upload is not sent, and the answer stands", async () => {
  const service = newService();
  const stopped = Promise.withResolvers<void>();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      reply(exchange, "enough");
      // When the answer is out: a cancel takes back what still waits to be sent.
      setTimeout(() => {
        exchange.cancel("not-needed");
        stopped.resolve();
      });
    },
  });
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
  });
  const response = await send(service, "/", { method: "POST", body });
  await stopped.promise;
  expect(await response.text()).toBe("enough");
  expect(agent.session.streams).toBe(0);
  agent.close();
});

test("a visitor who leaves during the answer cancels it at the agent", async () => {
  const service = newService();
  const cancelled = Promise.withResolvers<string>();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      exchange.onCancel = ({ code }) => cancelled.resolve(code);
      begin(exchange);
      exchange.outgoing.write(encode("first"));
    },
  });
  const response = await send(service);
  await response.body?.cancel();
  expect(await cancelled.promise).toBe("cancelled");
  agent.close();
});

test("a visitor who leaves before the answer cancels it at the agent", async () => {
  const service = newService();
  const cancelled = Promise.withResolvers<string>();
  const visitor = new AbortController();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      exchange.onCancel = ({ code }) => cancelled.resolve(code);
      visitor.abort();
    },
  });
  await expect(send(service, "/", { signal: visitor.signal })).rejects.toThrow();
  expect(await cancelled.promise).toBe("cancelled");
  agent.close();
});

test("a visitor who leaves during the upload cancels the exchange", async () => {
  const service = newService();
  const cancelled = Promise.withResolvers<string>();
  const visitor = new AbortController();
  const agent = await FakeAgent.connect({
    service,
    origin: async (exchange) => {
      exchange.onCancel = ({ code }) => cancelled.resolve(code);
      await exchange.incoming.ready();
      visitor.abort();
    },
  });
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encode("part")),
  });
  const { signal } = visitor;
  await expect(send(service, "/", { method: "POST", body, signal })).rejects.toThrow();
  expect(await cancelled.promise).toBe("cancelled");
  agent.close();
});

test.each([10, "unknown"] as const)(
  "an answer of length %s that the origin does not finish is cut, never ended",
  async (length) => {
    const service = newService();
    const go = Promise.withResolvers<void>();
    const agent = await FakeAgent.connect({
      service,
      origin: async (exchange) => {
        begin(exchange, length);
        exchange.outgoing.write(encode("half"));
        await go.promise;
        exchange.cancel("origin-reset");
      },
    });
    const response = await send(service);
    const reader = response.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("half");
    go.resolve();
    await expect(reader?.read()).rejects.toThrow();
    agent.close();
  },
);

test("an agent that disappears and does not come back cuts the answers under way", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      begin(exchange);
      exchange.outgoing.write(encode("half"));
    },
  });
  const response = await send(service);
  const reader = response.body?.getReader();
  await reader?.read();
  agent.close(1001);
  await expect(reader?.read()).rejects.toThrow();
});

test("visitors who do not read stop the agent, and others are served beside them", async () => {
  const service = newService();
  const visitors = 20;
  let written = 0;
  const agent = await FakeAgent.connect({
    service,
    origin: async (exchange) => {
      if (exchange.request.path === "/small") return reply(exchange, "small");
      begin(exchange);
      for (;;) {
        await exchange.outgoing.ready();
        exchange.outgoing.write(new Uint8Array(65_536));
        written += 65_536;
      }
    },
  });
  const stalled = await Promise.all(
    Array.from({ length: visitors }, () => send(service, "/endless")),
  );
  for (let i = 0; i < 5; i++) expect(await (await send(service, "/small")).text()).toBe("small");
  // The window, what one pull took, and what waits at the agent itself.
  expect(written).toBeLessThanOrEqual(visitors * 4 * 65_536);
  for (const { body } of stalled) await body?.cancel();
  agent.close();
});
