/**
 * The edge's Worker, whose variables can be changed while its objects live on: as on Cloudflare, where a deployment changes
 * the Worker at once and busy objects later.
 */
import type { Env } from "../../../edge/env.ts";
import worker from "../../../edge/worker.ts";

export { Correlator } from "../../../edge/correlator.ts";

let variables: Partial<Env> = {};

// oxlint-disable-next-line import/no-default-export -- the platform asks for it
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.method !== "PUT" || !request.url.endsWith("/variables")) {
      return worker.fetch(request, { ...env, ...variables });
    }
    variables = { ...variables, ...(await request.json<Partial<Env>>()) };
    return new Response();
  },
} satisfies ExportedHandler<Env>;
