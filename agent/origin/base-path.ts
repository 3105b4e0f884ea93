/**
 * `--path`: the part of an origin that the tunnel leads to. Strings only: no URL is parsed, and a target's bytes are the
 * visitor's.
 */

/** A path without query that begins at the root (RFC 9112 section 3.2.1), and has no dot segments to be resolved. */
export function isBasePath(text: string): boolean {
  return /^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/.test(text) && !climbs.test(text);
}

/** A segment that means "up" to a server that decodes it; a backslash is a slash to some. */
const climbs = /(?:^|[/\\]|%2f|%5c)(?:\.|%2e){2}(?:$|[/\\?;#]|%2f|%5c)/i;

/**
 * The target at the origin: the base itself for `/` (with its query), base and target for all others. Undefined for a
 * target that a server could read as one outside the base.
 */
export function withBase(base: string, target: string): string | undefined {
  if (base === "") return target;
  if (target === "/" || target.startsWith("/?")) return base + target.slice(1);
  const queryAt = target.indexOf("?");
  if (climbs.test(queryAt < 0 ? target : target.slice(0, queryAt))) return undefined;
  // `OPTIONS *` is about the server, not about a part of it.
  if (!target.startsWith("/")) return undefined;
  return (base.endsWith("/") ? base.slice(0, -1) : base) + target;
}
