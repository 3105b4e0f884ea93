/**
 * Redirects that stay in the tunnel: where an origin sends a visitor, as seen from the visitor's side.
 *
 * Only header fields, never bodies or cookies; and no URL is parsed and built anew: what is left as it is stays so byte
 * for byte, and what is changed gets another beginning.
 */
import type { HeaderList } from "../../codec/frame.ts";

/** What the origin cannot know of the way to it. */
export interface Place {
  /** What stands before the origin's paths on the visitor's side: `/send/<service>`, or "" under a host name. */
  readonly prefix: string;
  /** What stands before them on the origin's: the agent's `--path`, or "". */
  readonly basePath: string;
  /** The origin's own authorities: its address, and the `Host` that it is sent. */
  readonly origin: readonly string[];
  /** The authority that the visitor asked, if it is known. */
  readonly visited: string | undefined;
}

/** The prefixes that an edge may name: anything else is none, and could be a way out. */
const prefixForm = /^(?:\/[\w.~-]+)*$/;

/** The prefix that a request's `x-forwarded-prefix` names. */
export function prefixOf(field: string | undefined): string {
  return field !== undefined && prefixForm.test(field) ? field : "";
}

/** RFC 9110 sections 10.2.2 and 8.7; `Refresh` is what browsers and old frameworks know besides. */
const relocating = /^(?:location|content-location|refresh)$/i;

/** Delay, separator and quote before the URL of a `Refresh`. */
const refreshBeginning = /^\s*[\d.]+\s*[;,]\s*(?:url\s*=\s*)?["']?/i;

/** `fields` with the locations in them as the visitor reaches them. `place` is asked only when there are any. */
export function relocated(fields: string[], place: () => Place): string[] {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!relocating.test(name)) continue;
    const value = fields[i + 1] as string;
    const urlAt =
      name.length === "refresh".length ? (refreshBeginning.exec(value)?.[0].length ?? 0) : 0;
    if (name.length === "refresh".length && urlAt === 0) continue;
    fields[i + 1] = value.slice(0, urlAt) + relocate(value.slice(urlAt), place());
  }
  return fields;
}

/** Scheme and authority of an absolute URL, or the authority of one without scheme. */
const absolute = /^((?:https?:)?\/\/)([^/?#\\]*)/i;

/**
 * One location as the visitor reaches it: an absolute path, or a URL of the origin's own, becomes a path behind the prefix;
 * a URL of the visited host keeps scheme and host. What is behind the prefix already, relative, or elsewhere is left alone.
 */
export function relocate(location: string, place: Place): string {
  const found = absolute.exec(location);
  if (found === null) {
    return /^\/(?!\\)/.test(location) ? (inside(location, place) ?? location) : location;
  }
  const [whole, scheme = "", authority = ""] = found;
  const rest = location.slice(whole.length);
  if (rest.startsWith("\\")) return location;
  const path = rest.startsWith("/") ? rest : `/${rest}`;
  const named = plain(authority);
  if (place.origin.some((own) => plain(own) === named)) return inside(path, place) ?? location;
  if (place.visited === undefined || plain(place.visited) !== named) return location;
  const moved = inside(path, place);
  return moved === undefined || moved === path ? location : scheme + authority + moved;
}

/** `path` at the origin as a path of the visitor's; undefined when no path of the visitor's leads there. */
function inside(path: string, { prefix, basePath }: Place): string | undefined {
  // An origin that honours X-Forwarded-Prefix has said it already.
  if (prefix !== "" && isBelow(path, prefix)) return path;
  const base = basePath.endsWith("/") ? basePath.slice(0, -1) : basePath;
  // Without a prefix "//x" would be another host.
  if (prefix === "" && otherHost.test(path.slice(base.length))) return undefined;
  if (basePath === "") return prefix + path;
  if (!isBelow(path, base)) return undefined;
  const rest = path.slice(base.length);
  return rest.startsWith("/") ? prefix + rest : `${prefix}/${rest}`;
}

/** What browsers read as an authority without a scheme. */
const otherHost = /^\/[/\\]/;

function isBelow(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && /^(?:[/?#]|$)/.test(path.slice(prefix.length));
}

/** An authority to compare: in lower case, without a port that is a scheme's own. */
function plain(authority: string): string {
  return authority.toLowerCase().replace(/:(?:80|443)?$/, "");
}

/** A field's last value; the edge sets each of those we read once. */
export function lastValue(fields: HeaderList, name: string): string | undefined {
  for (let i = fields.length - 2; i >= 0; i -= 2) {
    if ((fields[i] as string).toLowerCase() === name) return fields[i + 1];
  }
  return undefined;
}
