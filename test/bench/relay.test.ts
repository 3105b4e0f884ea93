/** The relay as the benchmark starts it: a process between two real sockets. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Worker } from "../../bench/process.ts";
import { PERIOD_BYTES, slice } from "../../bench/site/pattern.ts";
import type { RelayAnswer, RelayOptions } from "../../bench/site/relay.ts";

const relayFile = new URL("../../bench/site/relay.ts", import.meta.url).pathname;

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean();
});

/** Both ends of a connection through a relay. */
async function through(
  options: Partial<RelayOptions> = {},
): Promise<{ near: Socket; far: Socket; relay: Worker<undefined, RelayAnswer> }> {
  const server: Server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  const { port: to } = server.address() as AddressInfo;
  const all: RelayOptions = { to, rttMs: 0, mbitPerS: 0, countMessages: false, ...options };
  const relay = new Worker<undefined, RelayAnswer>(relayFile, [JSON.stringify(all)]);
  cleanups.push(() => relay.stop());
  const { port } = await relay.ask(undefined);
  const accepted = once(server, "connection");
  const near = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const [far] = (await accepted) as [Socket];
  for (const socket of [near, far]) {
    socket.on("error", () => {});
    cleanups.push(() => socket.destroy());
  }
  return { near, far, relay };
}

/** All that comes until the other side ends. Not `for await`, which destroys a socket that may have more to send. */
async function allOf(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks);
}

function body(bytes: number): Buffer {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes; at += PERIOD_BYTES) {
    pieces.push(slice(at, Math.min(PERIOD_BYTES, bytes - at)));
  }
  return Buffer.concat(pieces);
}

test.each<[string, Partial<RelayOptions>, number]>([
  ["as it is", {}, 8_000_000],
  ["with a round trip of 20 ms", { rttMs: 20 }, 8_000_000],
  ["at 80 Mbit/s and 10 ms", { rttMs: 10, mbitPerS: 80 }, 1_000_000],
])("bytes arrive both ways as they were sent, %s", async (_words, options, bytes) => {
  const { near, far } = await through(options);
  const [there, back] = [body(bytes), body(bytes + 12_345).subarray(12_345)];
  near.end(there);
  far.end(back);
  const [atFar, atNear] = await Promise.all([allOf(far), allOf(near)]);
  expect(atFar.equals(there)).toBe(true);
  expect(atNear.equals(back)).toBe(true);
});

test("no answer comes before the round trip is over", async () => {
  const { near, far } = await through({ rttMs: 60 });
  far.pipe(far);
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const begin = performance.now();
    near.write("?");
    await once(near, "data");
    times.push(performance.now() - begin);
  }
  // Each direction may let go 0.3 ms early, and timers are of whole milliseconds.
  expect(Math.min(...times)).toBeGreaterThan(58);
});

test("no body comes sooner than the line could have carried it", async () => {
  const { near, far } = await through({ mbitPerS: 40 });
  const begin = performance.now();
  near.end(body(500_000));
  const { length } = await allOf(far);
  expect(length).toBe(500_000);
  expect(performance.now() - begin).toBeGreaterThan(98);
});

test("one direction ends and the other goes on", async () => {
  const { near, far } = await through({ rttMs: 20 });
  near.end("the question");
  expect((await allOf(far)).toString()).toBe("the question");
  far.write("half of the answer, ");
  const answer = allOf(near);
  await once(near, "data");
  far.end("and the other half");
  expect((await answer).toString()).toBe("half of the answer, and the other half");
});

test("what was sent last arrives although the other side had ended long before", async () => {
  const { near, far } = await through({ rttMs: 40 });
  far.end("goodbye");
  expect((await allOf(near)).toString()).toBe("goodbye");
  near.end("one word more");
  expect((await allOf(far)).toString()).toBe("one word more");
});

test("a connection that breaks at one end breaks at the other", async () => {
  const { near, far } = await through({ rttMs: 20 });
  near.resume();
  near.write("x");
  await once(far, "data");
  const broken = once(near, "error");
  far.resetAndDestroy();
  expect(await broken).toMatchObject([{ code: "ECONNRESET" }]);
});
