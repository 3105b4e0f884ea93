/** What the status page knows of a service's connections. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Service } from "../../../agent/inspector/service.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: 1000 }));
afterEach(() => void vi.useRealTimers());

test("a connection has its latest round trip, and when that was measured", async () => {
  const service = new Service({
    service: "shop",
    publicUrl: "https://edge.example/send/shop/",
    origin: "http://localhost:4000",
    concurrency: 64,
    settings: async () => [],
  });
  const connection = async () => (await service.status()).connections[0];
  expect(service.report({ event: "roundTrip", rttMs: 9 })).toBe(false);
  service.report({ event: "resumed", session: "s", streams: 0, rttMs: 5 });
  expect(await connection()).toMatchObject({ rttMs: 5, measured: 1000, since: 1000 });
  vi.setSystemTime(21_000);
  expect(service.report({ event: "roundTrip", rttMs: 18.2 })).toBe(true);
  expect(service.report({ event: "roundTrip", rttMs: 70, shard: 1 })).toBe(false);
  expect(await connection()).toMatchObject({
    state: "connected",
    session: "s",
    rttMs: 18.2,
    measured: 21_000,
    since: 1000,
  });
});
