/**
 * The Worker as `agent edge` runs it: the same, and a second entrypoint for the process that has started workerd, which
 * says that workerd is about to end. Cloudflare gives no such notice: there this file is not deployed.
 */
import { Correlator } from "./correlator.ts";
import type { Env } from "./env.ts";
import { printJson } from "./log.ts";
import { routeOf } from "./route.ts";
import { dialledShard, shardName } from "./shards.ts";
import worker from "./worker.ts";

export { Correlator };

// `agent edge` reads it.
printJson();

/**
 * How long agents stay after workerd was told to take no more connections: what it took just before has its head read by
 * then, and still finds its agent.
 */
const LAST_HEADS_MS = 100;

/** The names of the objects that agents have dialled. Whoever fills it holds a token, so it cannot be filled at will. */
const dialled = new Set<string>();

export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    const answer = worker.fetch(request, env);
    return request.url.includes("/websocket/") ? noted(request, env, answer) : answer;
  },
} satisfies ExportedHandler<Env>;

async function noted(
  request: Request,
  env: Env,
  answering: Response | Promise<Response>,
): Promise<Response> {
  const answer = await answering;
  const route = routeOf(request.url, env.TUNNEL_DOMAIN);
  if (answer.status === 101 && route?.kind === "websocket") {
    dialled.add(shardName(route.service, dialledShard(request.url)));
  }
  return answer;
}

/**
 * Where only the process that has started us can ask. It is answered at once; soon after the request's body has ended,
 * all agents are told to open another connection and to finish what they have on this one.
 */
export const control = {
  fetch(request: Request, env: Env): Response {
    const objects = env.CORRELATOR as unknown as DurableObjectNamespace<Correlator>;
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const dismiss = async (): Promise<void> => {
      await writer.write(new TextEncoder().encode("ready\n"));
      await request.text();
      await scheduler.wait(LAST_HEADS_MS);
      await Promise.all(Array.from(dialled, (name) => objects.getByName(name).dismiss()));
      await writer.close();
    };
    // Who asks and goes away has nothing to be told.
    dismiss().catch(() => writer.abort().catch(() => undefined));
    return new Response(readable);
  },
} satisfies ExportedHandler<Env>;
