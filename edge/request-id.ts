/**
 * Names for requests that no agent has got: what the edge answers by itself is named too. The others: `codec/request-id.ts`.
 */
import { rayOf } from "../codec/request-id.ts";

let prefix = "";
let count = 0;

/** A name for `request`: Cloudflare's where there is one. */
export function unsentId({ headers }: Request): string {
  const ray = rayOf(headers.get("cf-ray"));
  if (ray !== undefined) return ray;
  // Not at the top: a Worker may draw nothing before its first request.
  if (prefix === "") prefix = crypto.randomUUID().slice(0, 13);
  return `${prefix}-${++count}`;
}
