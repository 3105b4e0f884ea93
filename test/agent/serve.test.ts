import { afterEach, expect, test } from "vitest";
import type { Outcome } from "../../agent/origin/answer.ts";
import { Serve } from "../../agent/serve.ts";
import { Origin, type Received } from "../support/origin.ts";
import { poll, Watch } from "../support/until.ts";
import { Pair, readAll } from "./pair.ts";
import { TunnelEnd } from "./tunnel-end.ts";

let origin: Origin | undefined;
let end: TunnelEnd | undefined;

afterEach(async () => {
  await end?.stop();
  await origin?.stop();
});

async function open(concurrency: number): Promise<{ origin: Origin; end: TunnelEnd }> {
  origin = await Origin.start();
  end = await TunnelEnd.to(origin.port, { concurrency });
  return { origin, end };
}

test("the origin gets at most `concurrency` requests at once, and the others in their turn", async () => {
  const { origin: server, end: tunnel } = await open(2);
  const held: Received[] = [];
  server.otherwise((received) => {
    held.push(received);
  });
  const exchanges = Array.from({ length: 6 }, (_, i) => tunnel.ask({ path: `/${i}` }));
  for (let done = 0; done < 6; done++) {
    await server.arrived(Math.min(6, done + 2));
    expect(server.log.length).toBe(Math.min(6, done + 2));
    held[done]?.response.end(`answer ${held[done]?.target}`);
    const exchange = exchanges[done];
    if (exchange === undefined) throw new Error("no such exchange");
    await exchange.answer();
    expect(await readAll(exchange)).toBe(`answer /${done}`);
  }
  await poll(() => tunnel.serve.inFlight === 0, "nothing is in flight");
});

test("an exchange that is cancelled while it waits leaves the queue and never reaches the origin", async () => {
  const { origin: server, end: tunnel } = await open(1);
  const held: Received[] = [];
  server.otherwise((received) => {
    held.push(received);
  });
  const first = tunnel.ask({ path: "/first" });
  await server.arrived(1);
  const waiting = tunnel.ask({ path: "/waiting" });
  await poll(() => tunnel.serve.inFlight === 2, "the second waits");
  waiting.cancel("cancelled");
  expect(await tunnel.report()).toMatchObject({ path: "/waiting", outcome: "cancelled" });
  expect(tunnel.serve.inFlight).toBe(1);
  held[0]?.response.end();
  await first.answer();
  const last = tunnel.ask({ path: "/last" });
  await server.arrived(2);
  held[1]?.response.end();
  await last.answer();
  expect(server.log.map(({ target }) => target)).toEqual(["/first", "/last"]);
});

test.each([
  ["waits for its turn", 1],
  ["waits for its connection to the origin", 2],
])("the body of an exchange that is cancelled while it %s is let go of", async (_when, slots) => {
  const replayed = new Watch();
  let replays = 0;
  const serve = new Serve({
    concurrency: slots,
    finished: () => replayed.changed(),
    origin: {
      // An origin that takes nothing of a body.
      replay: () => {
        replays++;
        replayed.changed();
        const { promise, resolve } = Promise.withResolvers<Outcome>();
        const outcome = { status: 499, bytesIn: 0, bytesOut: 0, outcome: "cancelled" } as const;
        const released = promise.then(() => {});
        return { done: promise, released, cancel: () => resolve(outcome) };
      },
    },
  });
  const pair = await Pair.join((exchange) => serve.accept(exchange));
  pair.ask();
  const cancelled = pair.ask({ method: "POST", body: "x".repeat(10_000) });
  await replayed.until(() => replays === slots, "what has a slot at the origin");
  await poll(() => pair.agent.promisedBytes === 10_000, "the body at the agent");
  cancelled.cancel("cancelled");
  await poll(() => serve.inFlight === 1, "the end of the cancelled one");
  expect(pair.agent.promisedBytes).toBe(0);
});

test("a slot is free again only when the origin's request has really ended, not when it is cancelled", async () => {
  const replayed: { readonly path: string; readonly ended: () => void; cancelled: boolean }[] = [];
  const watch = new Watch();
  const serve = new Serve({
    concurrency: 1,
    finished: () => {},
    origin: {
      replay: ({ request: { path } }) => {
        const { promise, resolve } = Promise.withResolvers<Outcome>();
        const outcome = { status: 499, bytesIn: 0, bytesOut: 0, outcome: "cancelled" } as const;
        const entry = { path, ended: () => resolve(outcome), cancelled: false };
        replayed.push(entry);
        watch.changed();
        return {
          done: promise,
          released: promise.then(() => {}),
          cancel: () => {
            entry.cancelled = true;
            watch.changed();
          },
        };
      },
    },
  });
  const pair = await Pair.join((exchange) => serve.accept(exchange));
  const first = pair.ask({ path: "/first" });
  pair.ask({ path: "/second" });
  await poll(() => serve.inFlight === 2, "both at the agent");
  first.cancel("cancelled");
  await watch.until(() => replayed[0]?.cancelled, "the cancel at the origin");
  // Whatever a freed slot would start, starts within a turn.
  await new Promise((resolve) => setImmediate(resolve));
  expect(replayed.map(({ path }) => path)).toEqual(["/first"]);
  expect(serve.inFlight).toBe(2);
  replayed[0]?.ended();
  await watch.until(() => replayed[1]?.path === "/second", "the second in the free slot");
});

test("a thousand requests opened and cancelled at once never make the origin do more than `concurrency`", async () => {
  const { origin: server, end: tunnel } = await open(4);
  let atOnce = 0;
  let most = 0;
  server.otherwise(({ response }) => {
    most = Math.max(most, ++atOnce);
    response.on("close", () => atOnce--);
  });
  for (let i = 0; i < 1000; i++) {
    const exchange = tunnel.ask();
    setImmediate(() => exchange.cancel("cancelled"));
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await poll(() => tunnel.finished.length === 1000, "every exchange has ended");
  expect(most).toBeLessThanOrEqual(4);
  await poll(() => tunnel.streams === 0 && tunnel.serve.inFlight === 0, "nothing is left");
});

test("a thousand small requests are answered, each with its own answer", async () => {
  const { origin: server, end: tunnel } = await open(32);
  server.otherwise(({ target, response }) => response.end(`you asked ${target}`));
  const answers = await Promise.all(
    Array.from({ length: 1000 }, async (_, i) => {
      const exchange = tunnel.ask({ path: `/${i}` });
      await exchange.answer();
      return readAll(exchange);
    }),
  );
  expect(answers).toEqual(Array.from({ length: 1000 }, (_, i) => `you asked /${i}`));
  expect(tunnel.finished.every(({ outcome }) => outcome === "ok")).toBe(true);
});

test("the loss of the session ends every request at the origin", async () => {
  const { origin: server, end: tunnel } = await open(2);
  server.otherwise(() => {});
  for (let i = 0; i < 4; i++)
    tunnel
      .ask()
      .answer()
      .catch(() => {});
  await server.arrived(2);
  tunnel.pair.agent.lost();
  await Promise.all(server.log.map((received) => received.gone()));
  await poll(() => tunnel.finished.length === 4, "every exchange has ended");
  expect(tunnel.finished.map(({ outcome }) => outcome)).toEqual(Array(4).fill("agent-lost"));
});
