/**
 * The floors: the origin without a tunnel, and what workerd can do at best in the tunnel's place.
 */
import { fullPlan } from "../plan.ts";
import { Program } from "../process.ts";
import type { Site, System, Work } from "../system.ts";
import { startWorkerd } from "../workerd.ts";

const file = (name: string): string => new URL(name, import.meta.url).pathname;

/** As many bodies at once as the benchmark moves at once. */
const SOCKETS = 8;

/** As many WebSockets and event streams at once as the benchmark has visitors that stay. */
const VISITORS = fullPlan.sockets + fullPlan.streams;

/** The names of floors that targets refer to. */
export const DIRECT = "direct";
export const HELLO = "hello";
export const BARE_64 = "bare ws, 64 KiB";
export const BARE_256 = "bare ws, 256 KiB";
export const RELAY = "bare relay";

/** No tunnel: the visitor asks the origin, over the site's path if there is one. */
export async function startDirect(site: Site): Promise<System> {
  return {
    name: DIRECT,
    kind: "floor",
    target: { port: await site.via(site.originPort), prefix: "" },
    does: ["small", "download", "upload", "events", "sockets"],
    edge: () => [],
    agent: () => [],
    stop: async () => {},
  };
}

/** Worker and Durable Object without an agent, and with bare WebSockets to one, masked or with a key of zeros as the product. */
export async function startFloors(site: Site): Promise<System[]> {
  const workerd = await startWorkerd({
    entry: file("worker.js"),
    className: "Floor",
    binding: "FLOOR",
  });
  const masked = await startWorkerd({
    entry: file("worker.js"),
    className: "Floor",
    binding: "FLOOR",
  });
  const partner = (port: number, mask: string): Program =>
    Program.node(file("partner.ts"), [port, SOCKETS, mask, site.originPort].map(String));
  const zero = partner(workerd.port, "zero");
  const random = partner(masked.port, "random");
  const relayed = await startWorkerd({
    entry: file("worker.js"),
    className: "Floor",
    binding: "FLOOR",
  });
  const far = Program.node(
    file("relayed.ts"),
    [relayed.port, VISITORS, site.originPort].map(String),
  );
  await Promise.all([zero, random, far].map((program) => program.line(/^ready$/)));
  const parts = [workerd, masked, relayed, zero, random, far];
  let stopped: Promise<void[]> | undefined;
  // They share their processes.
  const stop = async (): Promise<void> => {
    stopped ??= Promise.all(parts.map((part) => part.stop()));
    await stopped;
  };
  const floor = (
    name: string,
    prefix: string,
    does: readonly Work[],
    agent?: Program,
    edge = workerd,
  ): System => ({
    name,
    kind: "floor",
    target: { port: edge.port, prefix },
    does,
    edge: () => [edge.pid],
    agent: () => (agent === undefined ? [] : [agent.pid]),
    stop,
  });
  return [
    floor(HELLO, "/hello/0", ["small"]),
    floor("hello over ws", "/ask/ask", ["small"], zero),
    floor("hello over ws, from origin", "/ask/fetch", ["small"], zero),
    floor("own chunks, 64 KiB", `/own/${64 * 1024}`, ["download"]),
    floor("own chunks, 256 KiB", `/own/${256 * 1024}`, ["download"]),
    floor(BARE_64, `/bare/${64 * 1024}`, ["download", "upload"], zero),
    floor(BARE_256, `/bare/${256 * 1024}`, ["download", "upload"], zero),
    floor("bare ws, from origin", "/bare/origin", ["download", "upload"], zero),
    floor("bare ws, 256 KiB, masked", `/bare/${256 * 1024}`, ["download"], random, masked),
    floor(RELAY, "/relay/echo", ["sockets"], far, relayed),
    floor("bare relay, to origin", "/relay/origin", ["sockets"], far, relayed),
  ];
}
