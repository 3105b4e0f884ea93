/**
 * Which service a URL means, and the target its origin gets: a pure function of the raw string.
 *
 * It never builds a `URL`: that would resolve `%2e%2e` and let a visitor leave the prefix, and the target must reach
 * the origin byte for byte.
 */

export type Route =
  | {
      readonly kind: "send";
      readonly service: string;
      /** The request target in origin form, exactly as the visitor sent it behind the prefix. */
      readonly target: string;
      /** What was cut off in front of the target: `/send/<service>`, or "" in hostname mode. */
      readonly prefix: string;
    }
  | { readonly kind: ServiceRoute; readonly service: string };

/** Those of `/<kind>/<service>`. */
type ServiceRoute = "websocket" | "status" | "shards" | "probe";

/** One lower-case DNS label (RFC 1035 section 2.3.1, digits first allowed by RFC 1123): it is a host name too. */
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether `name` may name a service. */
export function isServiceName(name: string): boolean {
  return label.test(name);
}

/**
 * The route of an absolute URL as `Request.url` gives it, or undefined when there is none.
 * @param domain the TUNNEL_DOMAIN: hosts directly below it are services.
 */
export function routeOf(url: string, domain: string | undefined): Route | undefined {
  const hostAt = url.indexOf("://") + 3;
  const pathAt = url.indexOf("/", hostAt);
  if (hostAt < 3 || pathAt === -1) return undefined;
  if (domain) {
    const service = serviceOfHost(url.slice(hostAt, pathAt), domain);
    if (service !== undefined)
      return { kind: "send", service, target: url.slice(pathAt), prefix: "" };
  }
  if (url.startsWith("/send/", pathAt)) {
    const nameAt = pathAt + "/send/".length;
    const nameEnd = endOfSegment(url, nameAt);
    const service = url.slice(nameAt, nameEnd);
    if (!isServiceName(service)) return undefined;
    const rest = url.slice(nameEnd);
    const target = rest.startsWith("/") ? rest : `/${rest}`;
    return { kind: "send", service, target, prefix: url.slice(pathAt, nameEnd) };
  }
  for (const kind of ["websocket", "status", "shards", "probe"] as const) {
    if (url.startsWith(`/${kind}/`, pathAt)) return serviceRoute(url, pathAt, kind);
  }
  return undefined;
}

/** `/<kind>/<service>` and nothing more; a query is allowed, and means nothing here. */
function serviceRoute(url: string, pathAt: number, kind: ServiceRoute): Route | undefined {
  const nameAt = pathAt + kind.length + 2;
  const nameEnd = endOfSegment(url, nameAt);
  const service = url.slice(nameAt, nameEnd);
  return url[nameEnd] === "/" || !isServiceName(service) ? undefined : { kind, service };
}

/** Where the path segment that begins at `from` ends: at "/", "?" or the end of the string. */
function endOfSegment(url: string, from: number): number {
  for (let i = from; i < url.length; i++) {
    const char = url.charCodeAt(i);
    if (char === 0x2f || char === 0x3f) return i;
  }
  return url.length;
}

/** The label in front of `domain`, if `authority` (a host, perhaps with a port) is directly below it. */
function serviceOfHost(authority: string, domain: string): string | undefined {
  const colon = authority.lastIndexOf(":");
  const host = (colon === -1 ? authority : authority.slice(0, colon)).toLowerCase();
  const dot = host.length - domain.length - 1;
  if (dot < 1 || host[dot] !== "." || !host.endsWith(domain)) return undefined;
  const service = host.slice(0, dot);
  return isServiceName(service) ? service : undefined;
}
