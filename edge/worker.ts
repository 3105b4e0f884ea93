/**
 * The Worker: which service a request is for, whether it may pass, and which of the service's objects gets it. Everything
 * else is the correlator's.
 *
 * It returns the object's answer untouched: then the runtime moves bodies and WebSockets without waking JavaScript here.
 */
import { TunnelError } from "../codec/errors.ts";
import { PROTOCOL } from "../codec/limits.ts";
import { authorize, bearerToken, visitorsNeedToken } from "./auth.ts";
import { type Env, SOFTWARE } from "./env.ts";
import { forward, objectOf } from "./object.ts";
import { probe } from "./probe.ts";
import { codeOf, refusal } from "./refusal.ts";
import { type Route, routeOf } from "./route.ts";
import { dialledShard, pickShard, PROBE_SHARD, shardsOf } from "./shards.ts";
import { statusOfShards } from "./status-of-shards.ts";

export { Correlator } from "./correlator.ts";

export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    const route = routeOf(request.url, env.TUNNEL_DOMAIN);
    if (route === undefined) return refusal("no-route", request);
    // The common request pays for no promise of ours: it needs no check.
    if (route.kind === "send" && (env.VISITORS ?? "public") === "public") {
      return pass(request, route, env);
    }
    return admit(request, route, env).then(
      () => pass(request, route, env),
      (error: unknown) => refusal(codeOf(error, "worker"), request),
    );
  },
} satisfies ExportedHandler<Env>;

/** Returns when the request may reach the object. */
async function admit(request: Request, route: Route, env: Env): Promise<void> {
  switch (route.kind) {
    case "send":
      if (!visitorsNeedToken(env)) return;
      // Not `Authorization`: that field belongs to the visitor and the origin.
      return authorize(
        request.headers.get("sluice-token") ?? undefined,
        route.service,
        ["visitor", "agent"],
        env,
      );
    case "websocket":
      if (!isAgentUpgrade(request)) throw new TunnelError("upgrade-required");
      return authorize(bearerToken(request), route.service, ["agent"], env);
    case "status":
    case "shards":
    case "probe":
      return authorize(bearerToken(request), route.service, ["agent"], env);
  }
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
        return forward(request, objectOf(service, pickShard(shards, Math.random()), env));
      case "websocket":
        return forward(request, objectOf(service, dialledShard(request.url), env));
      case "status":
        return statusOfShards(service, shards, (shard) =>
          forward(request, objectOf(service, shard, env)),
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
    return refusal(codeOf(error, "worker"), request);
  }
}
