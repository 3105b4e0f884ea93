/**
 * Asks the edge over how many objects it spreads a service. Its Worker answers that alone: no object wakes for it.
 */
import { once } from "node:events";
import { type Agent, type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** An edge that takes longer will be asked again soon enough. */
const WITHIN_MS = 10_000;

/** The most that an edge may have us dial: that of `edge/shards.ts`. */
export const MAX_SHARDS = 1000;

/**
 * How many shards there are, or undefined when the edge does not say. Never rejects.
 * @param url the edge's `/shards/<service>`
 * @param agent how the edge is reached (`reach.ts`)
 */
export async function shardCount(
  url: URL,
  token: string,
  signal: AbortSignal,
  agent: Agent,
): Promise<number | undefined> {
  const options = {
    agent,
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]),
  };
  const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, options);
  try {
    const answered = once(request, "response");
    request.end();
    const [response] = (await answered) as [IncomingMessage];
    response.on("error", () => {}).resume();
    // An edge of before there were shards.
    if (response.statusCode === 404) return 1;
    const count = Number(response.headers["sluice-shards"]);
    return Number.isInteger(count) && count >= 1 && count <= MAX_SHARDS ? count : undefined;
  } catch {
    return undefined;
  } finally {
    // An error after the answer is of no interest, and would end the process.
    request.on("error", () => {});
  }
}
