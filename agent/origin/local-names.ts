/**
 * What an origin sees that shall not learn by which name it is visited: development servers turn away requests for names
 * that they do not know, and look for them in more places than `Host`.
 *
 * A visitor's own page stays a page of the origin's: an `Origin` that names the visited host becomes the origin's own, so that
 * what compares it with `Host` finds them the same. Any other `Origin` is somebody else's and stays what it is.
 */
import type { HeaderList } from "../../codec/frame.ts";
import { lastValue } from "./location.ts";

/** The `Origin` of the pages that a request's visitor has from this server; undefined when its name is not known. */
export function visitedOrigin(fields: HeaderList): string | undefined {
  const visited = lastValue(fields, "x-forwarded-host");
  return visited === undefined ? undefined : `${schemeOf(fields)}://${visited}`;
}

/** @param host the `Host` that the origin sees */
export function localNames(fields: HeaderList, host: string): string[] {
  const visited = visitedOrigin(fields);
  const local: string[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    const lower = name.toLowerCase();
    if (lower === "x-forwarded-host") continue;
    // Not the origin's own scheme: what compares whole URLs takes that from x-forwarded-proto, as Rails does.
    const own = visited !== undefined && lower === "origin" && value === visited;
    local.push(name, own ? `${schemeOf(fields)}://${host}` : value);
  }
  return local;
}

function schemeOf(fields: HeaderList): string {
  return lastValue(fields, "x-forwarded-proto") ?? "http";
}
