/**
 * What a program asks for: the flags of `agent connect` as an object, checked by the same rules.
 *
 * Nothing is read from `AGENT_*` variables or configuration files: what a program wants it says.
 */
import { Server as HttpServer } from "node:http";
import { type ConnectConfig, connectConfig } from "../config/config.ts";
import type { Given } from "../config/given.ts";
import { UsageError } from "../config/usage.ts";
import type { TunnelEvent } from "../events.ts";
import type { Handler } from "../origin/handler.ts";

/** Milliseconds, or text with a unit, as in `"30s"`. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/** What answers the requests. See `ConnectOptions.origin`. */
export type Origin = string | URL | number | HttpServer | Handler | { readonly fetch: Handler };

export interface ConnectOptions {
  /** Your edge's URL, as in `https://sluice.example.workers.dev`. */
  readonly edge: string | URL;
  /** The service's name: it is part of the public URL. */
  readonly service: string;
  /** An agent token for the service, as `agent token` prints it. */
  readonly token: string;
  /**
   * What answers the requests: the port of a server on this machine; a server's address (`http://`, `https://`, `h2c://`,
   * or `unix:/path`); an `http.Server`, which needs no port; or a function from `Request` to `Response`, or an object
   * that has one called `fetch`.
   */
  readonly origin: Origin;
  /** The part of the server that the tunnel leads to, as in `/api`. Not for functions. */
  readonly path?: string | undefined;
  /** How many requests the origin gets at once; others wait. Default 64. */
  readonly concurrency?: number | undefined;
  /** The `Host` that the server sees; its own address by default. Not for functions. */
  readonly hostHeader?: string | undefined;
  /** How long the origin may take to begin an answer; 0 is for ever. Default 10 minutes. */
  readonly originTimeout?: Duration | undefined;
  /** Whom to believe that it is an `https://` server: the path of a PEM file. */
  readonly originCa?: string | undefined;
  /** Believe any certificate of an `https://` server. */
  readonly insecureOrigin?: boolean | undefined;
  /** Make redirects stay in the tunnel. Default true. */
  readonly rewriteLocation?: boolean | undefined;
  /** Tell the server by which name it is visited. Default true. Not for functions. */
  readonly publicName?: boolean | undefined;
  /** Whom to believe that it is the edge: the path of a PEM file. By default those that Node and the system know. */
  readonly ca?: string | undefined;
  /** How long requests in flight may take to finish at the end. Default 30 seconds. */
  readonly grace?: Duration | undefined;
  /** Take over: other agents of the service finish what they have and end. */
  readonly replace?: boolean | undefined;
  /** Aborting it rejects `connect()`, as `AbortSignal.timeout()` does in time. A tunnel that is there does not know it. */
  readonly signal?: AbortSignal | undefined;
  /** Told everything that happens, from before the first connection on. */
  readonly onEvent?: ((event: TunnelEvent) => void) | undefined;
}

export interface Checked {
  readonly config: ConnectConfig;
  readonly token: string;
  /** What has no address and answers all the same; undefined for a server at `config.origin`. */
  readonly destination: HttpServer | Handler | undefined;
}

/** What only a server at an address has. */
const ofServers = ["path", "hostHeader", "publicName"] as const;
const ofTls = ["originCa", "insecureOrigin"] as const;

/** What stands for the address of what has none. */
const NO_ADDRESS = "http://localhost";

/**
 * @param options of the right shape (`shape.ts`)
 * @throws UsageError that names the option that is wrong, and what is expected
 */
export function checked(options: ConnectOptions): Checked {
  const { edge, service, token, origin, originTimeout, grace, concurrency } = options;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new UsageError("token must be one word, as `agent token` prints it.");
  }
  const destination = destinationOf(origin);
  const foreign = [
    ...(destination === undefined ? [] : ofTls),
    ...(typeof destination === "function" ? ofServers : []),
  ].find((name) => options[name] !== undefined);
  if (foreign !== undefined) {
    throw new UsageError(`${foreign} says something of a server's address, and origin has none.`);
  }
  const where =
    destination !== undefined
      ? { origin: text("origin", NO_ADDRESS) }
      : typeof origin === "number"
        ? { port: text("origin", origin) }
        : { origin: text("origin", addressOf(origin as string | URL)) };
  const config = connectConfig({
    ...where,
    edge: text("edge", edge instanceof URL ? edge.href : edge),
    service: text("service", service),
    ...optional("path", options.path),
    ...optional("concurrency", concurrency),
    ...optional("hostHeader", options.hostHeader),
    ...optional("originTimeout", durationText("originTimeout", originTimeout)),
    ...optional("originCa", options.originCa),
    ...optional("insecureOrigin", options.insecureOrigin),
    ...optional("rewriteLocation", options.rewriteLocation),
    ...optional("publicName", options.publicName),
    ...optional("ca", options.ca),
    ...optional("grace", durationText("grace", grace)),
    ...optional("replace", options.replace),
  });
  return { config, token, destination };
}

function destinationOf(origin: unknown): HttpServer | Handler | undefined {
  if (typeof origin === "number" || typeof origin === "string" || origin instanceof URL) {
    return undefined;
  }
  if (origin instanceof HttpServer) return origin;
  if (typeof origin === "function") {
    if (origin.length < 2) return origin as Handler;
    throw new UsageError(
      `origin is a function of ${origin.length} parameters, but a Request is all that it would get. If they are a request and a response of node:http, as in Express, give http.createServer(it).`,
    );
  }
  if (typeof origin === "object" && origin !== null && "fetch" in origin) {
    const application = origin as { readonly fetch: Handler };
    if (typeof application.fetch === "function") return (request) => application.fetch(request);
  }
  throw new UsageError(
    "origin must be a port, an address, an http.Server (not one of https or http2), or a function from Request to Response.",
  );
}

/** A URL prints itself with a path, which an origin's address has not. */
function addressOf(origin: string | URL): string {
  return origin instanceof URL ? origin.href.replace(/\/$/, "") : origin;
}

function durationText(name: string, duration: Duration | undefined): string | undefined {
  if (duration === undefined) return undefined;
  if (typeof duration === "string") {
    // At a terminal "30" is seconds and here 30 is milliseconds: text says which.
    if (/^\d+$/.test(duration)) {
      throw new UsageError(`${name} must be milliseconds, or text with a unit, not "${duration}".`);
    }
    return duration;
  }
  return Number.isInteger(duration) && duration % 1000 === 0
    ? `${duration / 1000}s`
    : `${duration}ms`;
}

function text(name: string, value: unknown): Given {
  return { text: String(value), from: name, flag: true };
}

function optional(name: string, value: unknown): Readonly<Record<string, Given>> {
  return value === undefined ? {} : { [name]: text(name, value) };
}
