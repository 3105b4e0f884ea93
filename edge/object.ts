/**
 * Asking an object of a service, and what its failure means to the visitor.
 */
import type { Env } from "./env.ts";
import { logFault } from "./log.ts";
import { refusal } from "./refusal.ts";
import { unsentId } from "./request-id.ts";
import { placement, shardName } from "./shards.ts";

/** The object that is a shard of a service. @throws TunnelError `internal-error` for a LOCATION_HINT that there is not */
export function objectOf(service: string, shard: number, env: Env): DurableObjectStub {
  return env.CORRELATOR.getByName(shardName(service, shard), placement(env));
}

/** Hands the request over. What the object throws is the platform's word: overload, a reset, a lost object. */
export function forward(
  request: Request,
  object: DurableObjectStub,
  service: string,
): Promise<Response> {
  return object.fetch(request).catch((error: unknown) => {
    const id = unsentId(request);
    logFault("object", error, { service, request: id });
    const overloaded = error instanceof Error && "overloaded" in error && error.overloaded === true;
    return refusal(overloaded ? "overloaded" : "agent-lost", request, id);
  });
}
