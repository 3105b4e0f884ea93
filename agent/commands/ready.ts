/** `agent ready`: asks a running agent whether requests find it, for health checks. */
import { get, type IncomingMessage } from "node:http";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import * as v from "valibot";
import type { GivenValues } from "../config/given.ts";
import { type MetricsAddress, type ReadyConfig, readyConfig } from "../config/metrics.ts";
import { type ExitCode, exits } from "../config/usage.ts";
import type { OpenLog } from "../terminal/open-log.ts";

/** What is needed of `/ready`; a newer agent may say more. */
const answer = v.object({
  ready: v.boolean(),
  services: v.array(v.object({ service: v.string(), ready: v.boolean(), connected: v.boolean() })),
});

/** @returns 0 when it is ready, 1 when not, or when nobody answers. @throws UsageError */
export async function ready(given: GivenValues, { log }: OpenLog): Promise<ExitCode> {
  const config = readyConfig(given);
  const { readiness, why } = await ask(config);
  if (readiness?.ready === true) {
    const names = readiness.services.map(({ service }) => service).join(", ");
    process.stdout.write(`ready: ${names}\n`);
    return exits.clean;
  }
  const message = readiness === undefined ? why : notReady(readiness);
  log.event({ event: "error", code: "not-ready", message });
  return exits.runtime;
}

type Readiness = v.InferOutput<typeof answer>;

async function ask({ address, timeoutMs }: ReadyConfig): Promise<
  | { readonly readiness: Readiness; readonly why?: never }
  | {
      readonly readiness?: never;
      readonly why: string;
    }
> {
  const url = urlOf(address);
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    // Not fetch: a proxy between here and the same machine would be a mistake.
    const request = get(url, { agent: false, signal });
    const [response] = (await once(request, "response", { signal })) as [IncomingMessage];
    const body: unknown = JSON.parse(await text(response));
    return { readiness: v.parse(answer, body) };
  } catch (error) {
    if (signal.aborted) {
      return {
        why: `No answer from ${url} within ${timeoutMs} ms: the agent there is too busy, or hangs. --timeout lets it take longer.`,
      };
    }
    const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
    const why =
      code === "" || code.startsWith(" (HPE_")
        ? `What answers at ${url} is no Sluice agent: is --metrics that of \`agent connect\`?`
        : `Nobody answers at ${url}${code}: is \`agent connect\` running, with the same --metrics?`;
    return { why };
  }
}

function notReady({ services }: Readiness): string {
  if (services.length === 0) return "The agent is still starting: ask again.";
  const parts = services
    .filter((each) => !each.ready)
    .map(({ service, connected }) =>
      connected ? `${service} takes no more requests` : `${service} is not connected`,
    );
  return `Not ready: ${parts.join(", ")}. What the agent prints says why, and \`agent doctor\` with its flags finds out.`;
}

function urlOf({ host, port }: MetricsAddress): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}/ready`;
}
