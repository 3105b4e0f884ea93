/**
 * The Worker: which service a request is for, whether it may pass, and which of the service's objects gets it. Everything
 * else is the correlator's.
 *
 * It returns the object's answer untouched: then the runtime moves bodies and WebSockets without waking JavaScript here.
 */
import { TunnelError } from "../codec/errors.ts";
import { PROTOCOL } from "../codec/limits.ts";
import { authorize, bearerToken, SECRET, visitorsNeedToken } from "./auth.ts";
import { type Env, SOFTWARE } from "./env.ts";
import { forward, objectOf } from "./object.ts";
import { probe } from "./probe.ts";
import { codeOf, refusal } from "./refusal.ts";
import { unsentId } from "./request-id.ts";
import { type Route, routeOf } from "./route.ts";
import { dialledShard, pickShard, PROBE_SHARD, shardsOf } from "./shards.ts";
import { statusOfShards } from "./status-of-shards.ts";

export { Correlator } from "./correlator.ts";

export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    const route = routeOf(request.url, env.TUNNEL_DOMAIN);
    if (route === undefined) return refuse(new TunnelError("no-route"), request);
    // The common request pays for no promise of ours: it needs no check.
    if (route.kind === "send" && (env.VISITORS ?? "public") === "public") {
      return pass(request, route, env);
    }
    return admit(request, route, env).then(
      (admitted) => pass(admitted, route, env),
      (error: unknown) => refuse(error, request, route.service),
    );
  },
} satisfies ExportedHandler<Env>;

/** The request as it may reach the object. */
async function admit(request: Request, { kind, service }: Route, env: Env): Promise<Request> {
  if (kind === "send") {
    // Not `Authorization`: that field belongs to the visitor and the origin.
    const token = request.headers.get("sluice-token") ?? undefined;
    if (visitorsNeedToken(env)) await authorize(token, service, ["visitor", "agent"], env);
    return request;
  }
  if (kind === "websocket" && !isAgentUpgrade(request)) throw new TunnelError("upgrade-required");
  const secret = await authorize(bearerToken(request), service, ["agent"], env);
  if (secret === "current") return request;
  const marked = new Request(request);
  marked.headers.set(SECRET, secret);
  return marked;
}

function isAgentUpgrade(request: Request): boolean {
  const { headers } = request;
  const protocols = headers.get("sec-websocket-protocol")?.split(",") ?? [];
  return (
    request.method === "GET" &&
    headers.get("upgrade")?.toLowerCase() === "websocket" &&
    protocols.some((protocol) => protocol.trim() === PROTOCOL)
  );
}

/** The answer to a request that may pass. */
function pass(request: Request, { kind, service }: Route, env: Env): Response | Promise<Response> {
  try {
    const shards = shardsOf(service, env);
    switch (kind) {
      case "send":
        return forward(request, objectOf(service, pickShard(shards, Math.random()), env), service);
      case "websocket":
        return forward(request, objectOf(service, dialledShard(request.url), env), service);
      case "status":
        return statusOfShards(service, shards, (shard) =>
          forward(request, objectOf(service, shard, env), service),
        );
      case "shards":
        // No object is touched: agents ask for it again and again.
        return new Response(null, {
          status: 204,
          headers: { "sluice-shards": String(shards), "sluice-edge": SOFTWARE },
        });
      case "probe":
        return probe(request, service, objectOf(service, PROBE_SHARD, env));
    }
  } catch (error) {
    return refuse(error, request, service);
  }
}

/** The answer to a request that may not pass, or could not. */
function refuse(error: unknown, request: Request, service?: string): Response {
  const id = unsentId(request);
  return refusal(codeOf(error, "worker", { service, request: id }), request, id);
}
