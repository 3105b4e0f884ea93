/**
 * The Worker: which service a request is for, and whether it may pass. Everything else is the correlator's.
 *
 * It returns the object's answer untouched: then the runtime moves bodies and WebSockets without waking JavaScript here.
 */
import { TunnelError } from "../codec/errors.ts";
import { PROTOCOL } from "../codec/limits.ts";
import { authorize, bearerToken, visitorsNeedToken } from "./auth.ts";
import type { Env } from "./env.ts";
import { logFault } from "./log.ts";
import { codeOf, refusal } from "./refusal.ts";
import { type Route, routeOf } from "./route.ts";

export { Correlator } from "./correlator.ts";

export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    const route = routeOf(request.url, env.TUNNEL_DOMAIN);
    if (route === undefined) return refusal("no-route", request);
    // The common request pays for no promise of ours: it needs no check.
    if (route.kind === "send" && (env.VISITORS ?? "public") === "public") {
      return forward(request, route.service, env);
    }
    return admit(request, route, env).then(
      () => forward(request, route.service, env),
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

/** Hands the request to the service's object. What it throws is the platform's word: overload, a reset, a lost object. */
function forward(request: Request, service: string, env: Env): Promise<Response> {
  return env.CORRELATOR.getByName(service)
    .fetch(request)
    .catch((error: unknown) => {
      logFault("object", error);
      const overloaded =
        error instanceof Error && "overloaded" in error && error.overloaded === true;
      return refusal(overloaded ? "overloaded" : "agent-lost", request);
    });
}
