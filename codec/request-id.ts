/**
 * The name of one request, wherever it is told of. Each end makes it of what it has anyway: no byte of the wire is spent.
 */
import type { RequestHead } from "./frame.ts";

/** The field that tells the origin and the visitor. Neither can set it: `crossing()` drops what begins with `sluice-`. */
export const REQUEST_ID = "sluice-request-id";

/** How much of the session's name tells it from all others: 48 random bits of a UUID. */
const SESSION_CHARS = 13;

const CF_RAY = "cf-ray";

/** Its value, which Cloudflare sets on every request: 16 hexadecimal digits and perhaps the place. */
const ray = /^[0-9a-f]{16}(?:-[A-Z]{3,5})?$/;

/** Cloudflare's name of the request with this `cf-ray` field; undefined when it has none, or something else there. */
export function rayOf(field: string | null | undefined): string | undefined {
  return typeof field === "string" && ray.test(field) ? field : undefined;
}

/** The name of the request with `head` on `stream` of `session`: Cloudflare's where there is one. */
export function requestId({ headers }: RequestHead, session: string, stream: number): string {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    // Most names are told apart by their length.
    if (name.length !== CF_RAY.length || name.toLowerCase() !== CF_RAY) continue;
    const known = rayOf(headers[i + 1]);
    if (known !== undefined) return known;
  }
  return `${session.slice(0, SESSION_CHARS)}-${stream}`;
}
