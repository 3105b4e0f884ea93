/**
 * Over how many objects a service is spread, what they are called, which of them gets a request, and where they live:
 * pure functions of what the operator configured.
 *
 * The first shard is the service's own object, so that it stays where it is, agents and all, when others come and go.
 */
import { TunnelError } from "../codec/errors.ts";
import type { Env } from "./env.ts";
import type { About } from "./log.ts";

/** Beyond it an agent's sockets are the load. */
export const MAX_SHARDS = 1000;

/** The object that no visitor's request comes to: behind the last shard that there can be. See `probe.ts`. */
export const PROBE_SHARD = MAX_SHARDS;

/** Where objects can be made to live (Durable Objects, "Data location"); November 2026. */
const places = new Set(
  "wnam enam sam weur eeur apac apac-ne apac-se oc afr me".split(" "),
) as ReadonlySet<string>;

function isPlace(hint: string): hint is DurableObjectLocationHint {
  return places.has(hint);
}

/** What a SHARDS means. */
export interface ShardCounts {
  readonly of: ReadonlyMap<string, number>;
  /** That of services which are not named. */
  readonly others: number;
}

/**
 * Reads SHARDS: a number for every service, or some by name, as in `shop=4,blog=2,*=3`, where `*` is all others and 1
 * when left out.
 * @throws TunnelError `internal-error`: a typing error must not spread a service over other objects than its agents.
 */
export function shardCounts(text: string): ShardCounts {
  const of = new Map<string, number>();
  let others = 1;
  for (const part of text.split(",")) {
    const [, name = "*", digits = ""] = /^\s*(?:([a-z0-9-]+|\*)=)?(\d{1,4})\s*$/.exec(part) ?? [];
    const count = Number(digits);
    if (count < 1 || count > MAX_SHARDS) {
      throw new TunnelError(
        "internal-error",
        `SHARDS is a number from 1 to ${MAX_SHARDS}, or some by service as in shop=4,*=1, not "${text}"`,
      );
    }
    if (name === "*") others = count;
    else of.set(name, count);
  }
  return { of, others };
}

/** The SHARDS that was read last: it changes only with a deployment. */
let last: { readonly text: string; readonly counts: ShardCounts } | undefined;

/** Over how many objects `service` is spread. @throws TunnelError `internal-error` */
export function shardsOf(service: string, { SHARDS: text }: Pick<Env, "SHARDS">): number {
  if (text === undefined || text === "") return 1;
  if (last?.text !== text) last = { text, counts: shardCounts(text) };
  const { of, others } = last.counts;
  return of.get(service) ?? others;
}

/** What the object of a shard is called. `#` is in no service's name. */
export function shardName(service: string, shard: number): string {
  return shard === 0 ? service : `${service}#${shard}`;
}

/** What an object is, of its name. An object that was not named, as a test's, is nobody's. */
export function aboutObject(name: string | undefined): About {
  const [service, shard] = name?.split("#") ?? [];
  if (shard === undefined) return { service };
  const number = Number(shard);
  return { service, shard: number === PROBE_SHARD ? "probe" : number };
}

/**
 * The shard that an agent dials, of its upgrade's URL: `?shard=<n>`, or the first; `?shard=probe` for one that measures.
 * Not only one that there is: an agent that has not heard of a change yet still finishes what it has.
 * @throws TunnelError `bad-request`
 */
export function dialledShard(url: string): number {
  const dialled = new URL(url).searchParams.get("shard") ?? "0";
  if (dialled === "probe") return PROBE_SHARD;
  const shard = Number(dialled);
  if (Number.isInteger(shard) && shard >= 0 && shard < MAX_SHARDS) return shard;
  throw new TunnelError("bad-request", "shard");
}

/**
 * The shard that gets a request: any. What one isolate of the Worker could count of the load is a small part of it, and
 * wrong as soon as a visitor leaves, of which the Worker is not told.
 * @param random uniform in [0, 1)
 */
export function pickShard(shards: number, random: number): number {
  return Math.floor(random * shards);
}

/**
 * What to say where an object is named: it counts only when the object is made.
 * @throws TunnelError `internal-error` for a LOCATION_HINT that there is not
 */
export function placement({
  LOCATION_HINT: hint,
}: Pick<Env, "LOCATION_HINT">): DurableObjectNamespaceGetDurableObjectOptions | undefined {
  if (hint === undefined || hint === "") return undefined;
  if (isPlace(hint)) return { locationHint: hint };
  throw new TunnelError(
    "internal-error",
    `LOCATION_HINT is one of ${[...places].join(", ")}, not "${hint}"`,
  );
}
