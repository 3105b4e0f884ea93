/**
 * What the person at the terminal asked for, checked: flags and environment become a `ConnectConfig` or an `EdgeConfig`,
 * or a sentence that quotes the value that is wrong.
 *
 * It reads no files and no secrets (`secret.ts`) and knows no command-line library.
 */
import * as v from "valibot";
import { isHeaderValue } from "../../codec/headers.ts";
import { GRACE_MS, MAX_GRACE_MS, MAX_STREAMS } from "../../codec/limits.ts";
import { isBasePath } from "../origin/base-path.ts";
import { durationMs } from "./duration.ts";
import { MAX_SHARDS } from "../connection/shard-count.ts";
import type { Role } from "../edge-here/token.ts";
import { type Given, type GivenValues, isOn } from "./given.ts";
import { UsageError } from "./usage.ts";
import { withoutPassword } from "./without-password.ts";

/** Where the origin is: what undici and node:http need, and how to show it. */
export interface OriginAddress {
  /** Scheme, host and port. For a Unix socket the host is only what `Host` says. */
  readonly url: URL;
  readonly socketPath: string | undefined;
  /** Whether HTTP/2 is spoken without TLS, which cannot be negotiated. */
  readonly http2: boolean;
  readonly label: string;
}

export interface ConnectConfig {
  /** The edge's own URL: scheme, host and port. */
  readonly edge: URL;
  readonly service: string;
  /** A file of certificates that the edge's may come from, and no others; those that Node and the system know when undefined. */
  readonly ca: string | undefined;
  readonly origin: OriginAddress;
  /** How many requests the origin gets at once; the others wait in the agent. */
  readonly concurrency: number;
  /** The `Host` that the origin sees; its own address when undefined. */
  readonly hostHeader: string | undefined;
  /** What is put before every target; "" for nothing. */
  readonly basePath: string;
  /** Whether redirects are made to stay in the tunnel. */
  readonly rewriteLocation: boolean;
  /** Whether the origin learns by which name it is visited: `X-Forwarded-Host`, and the `Origin` of its own pages. */
  readonly publicName: boolean;
  /** A file of certificates that are trusted, and no others; those that Node knows when undefined. */
  readonly originCa: string | undefined;
  /** Whether any certificate will do. */
  readonly insecureOrigin: boolean;
  /** How long the origin may take to begin its answer; 0 is for ever. */
  readonly originTimeoutMs: number;
  /** How long requests in flight may take to finish after the first signal. */
  readonly graceMs: number;
  /** Whether this agent takes over from all others of the service, which then drain. */
  readonly replace: boolean;
}

/** Whether the edge asks a visitor for a token. */
export type Visitors = "open" | "token";

export interface EdgeConfig {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** `<service>.<domain>` reaches a service too; undefined leaves only `/send/<service>/`. */
  readonly domain: string | undefined;
  /** Where the made secret and the objects' storage are kept; a temporary directory when undefined. */
  readonly dataDirectory: string | undefined;
  readonly visitors: Visitors;
  /** How long exchanges survive the loss of their agent's connection. */
  readonly graceMs: number;
  /** How long exchanges in flight may take to finish after the first signal. */
  readonly drainMs: number;
  /** The files of the certificate and its key; plain HTTP when undefined. */
  readonly tls: { readonly cert: Given; readonly key: Given } | undefined;
  /** Over how many objects each service is spread. */
  readonly shards: number;
}

export interface TokenConfig {
  readonly service: string;
  readonly role: Role;
  readonly expiresMs: number;
}

const whole = (least: number, most: number, expects: string) =>
  v.config(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,9}$/),
      v.transform(Number),
      v.minValue(least),
      v.maxValue(most),
    ),
    { message: expects },
  );

const duration = (leastMs: number, mostMs: number, expects: string) =>
  v.config(
    v.pipe(
      v.string(),
      v.transform(durationMs),
      v.number(),
      v.minValue(leastMs),
      v.maxValue(mostMs),
    ),
    { message: expects },
  );

const DAY_MS = 86_400_000;
/** What setTimeout can wait for: 2^31 - 1 ms. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** A DNS label, because a service is also a host name (`<service>.<domain>`). */
const service = v.config(v.pipe(v.string(), v.regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/)), {
  message: "1 to 63 lower-case letters, digits and inner hyphens",
});

const edge = v.config(
  v.pipe(
    v.string(),
    v.url(),
    v.transform((text) => new URL(text)),
    v.check(
      (url) =>
        /^https?:$/.test(url.protocol) &&
        url.pathname === "/" &&
        url.search === "" &&
        url.hash === "" &&
        url.username === "",
    ),
  ),
  { message: "an http or https URL without a path, like https://edge.example.workers.dev" },
);

const port = whole(1, 65_535, "a whole number from 1 to 65535");
const role = v.picklist(["agent", "visitor"], "agent or visitor");
const visitors = v.picklist(["open", "token"], "open or token");
const host = v.config(v.pipe(v.string(), v.regex(/^[0-9A-Za-z.:_-]+$/)), {
  message: "a host name or an address, like 127.0.0.1",
});
const domain = v.config(v.pipe(v.string(), v.toLowerCase(), v.regex(/^[a-z0-9.-]+$/)), {
  message: "a domain name, like localhost or tunnel.example.com",
});
const hostHeader = v.config(v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/)), {
  message: "a host name, with a port if need be",
});

const basePath = v.config(v.pipe(v.string(), v.check(isBasePath)), {
  message: "a path like /graphql, without a query and without dot segments",
});

/** @throws UsageError */
export function connectConfig(given: GivenValues): ConnectConfig {
  return {
    edge: check(edge, need(given.edge, "--edge", "the URL of your edge")),
    service: check(service, need(given.service, "--service", "the service's name")),
    ca: given.ca?.text,
    origin: originOf(given),
    concurrency:
      checkIf(
        whole(1, MAX_STREAMS, `a whole number from 1 to ${MAX_STREAMS}`),
        given.concurrency,
      ) ?? 64,
    hostHeader: checkIf(hostHeader, given.hostHeader),
    basePath: basePathOf(given),
    rewriteLocation: given.rewriteLocation === undefined || isOn(given.rewriteLocation),
    publicName: given.publicName === undefined || isOn(given.publicName),
    originCa: given.originCa?.text,
    insecureOrigin: isOn(given.insecureOrigin),
    originTimeoutMs:
      checkIf(
        duration(0, TIMER_MAX_MS, "a time like 30s, 10m or 2h, at most 24d; 0 is for ever"),
        given.originTimeout,
      ) ?? 600_000,
    graceMs:
      checkIf(duration(0, DAY_MS, "a time like 30s or 5m, at most 1d"), given.grace) ?? 30_000,
    replace: isOn(given.replace),
  };
}

/** @throws UsageError */
export function edgeConfig(given: GivenValues): EdgeConfig {
  return {
    host: checkIf(host, given.host) ?? "127.0.0.1",
    port:
      checkIf(
        whole(0, 65_535, "a whole number from 0 to 65535; 0 lets the system choose"),
        given.port,
      ) ?? 8787,
    domain: checkIf(domain, given.domain),
    dataDirectory: given.data?.text,
    visitors: checkIf(visitors, given.visitors) ?? "open",
    graceMs:
      checkIf(duration(0, MAX_GRACE_MS, "a time like 15s or 2m, at most 1h"), given.grace) ??
      GRACE_MS,
    drainMs:
      checkIf(duration(0, DAY_MS, "a time like 10s or 5m, at most 1d"), given.drain) ?? 10_000,
    tls: tlsOf(given),
    shards:
      checkIf(whole(1, MAX_SHARDS, `a whole number from 1 to ${MAX_SHARDS}`), given.shards) ?? 1,
  };
}

/** @throws UsageError */
export function tokenConfig(given: GivenValues): TokenConfig {
  return {
    service: check(service, need(given.service, "--service", "the service that the token is for")),
    role: checkIf(role, given.role) ?? "agent",
    expiresMs:
      checkIf(
        duration(1000, 3650 * DAY_MS, "a time like 12h or 90d, at most 3650d"),
        given.expires,
      ) ?? 90 * DAY_MS,
  };
}

/** Where agents dial. */
export function socketUrl({ edge, service }: Pick<ConnectConfig, "edge" | "service">): URL {
  const url = new URL(edge);
  url.protocol = edge.protocol === "https:" ? "wss:" : "ws:";
  url.pathname = `/websocket/${service}`;
  return url;
}

/** Where the edge says over how many objects it spreads the service. */
export function shardsUrl({ edge, service }: Pick<ConnectConfig, "edge" | "service">): URL {
  return new URL(`/shards/${service}`, edge);
}

/** Where the edge lists the service's agents. */
export function statusUrl({ edge, service }: Pick<ConnectConfig, "edge" | "service">): URL {
  return new URL(`/status/${service}`, edge);
}

/** Where visitors go. */
export function publicUrl({ edge, service }: Pick<ConnectConfig, "edge" | "service">): string {
  return new URL(`/send/${service}/`, edge).href;
}

/** Flags win over the environment, and the environment over a file. */
function rank({ flag, file }: Given): number {
  return flag ? 2 : file === true ? 0 : 1;
}

function basePathOf({ path }: GivenValues): string {
  const text = checkIf(basePath, path) ?? "";
  // The root is where targets begin anyway.
  return text === "/" ? "" : text;
}

function tlsOf({ tlsCert, tlsKey }: GivenValues): EdgeConfig["tls"] {
  if (tlsCert !== undefined && tlsKey !== undefined) return { cert: tlsCert, key: tlsKey };
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  const [given, missing] = tlsCert === undefined ? [tlsKey, "--tls-cert"] : [tlsCert, "--tls-key"];
  throw new UsageError(`${given?.from ?? ""} is of no use without ${missing}: https needs both.`);
}

function originOf(given: GivenValues): OriginAddress {
  const { port: byPort, origin: byUrl } = given;
  if (byPort !== undefined && byUrl !== undefined && rank(byPort) === rank(byUrl)) {
    throw new UsageError(
      `${byPort.from} and ${byUrl.from} say two different things: give the one or the other.`,
    );
  }
  if (byPort !== undefined && (byUrl === undefined || rank(byPort) > rank(byUrl))) {
    // Not 127.0.0.1: development servers listen on either address of localhost, and check that Host says localhost.
    const url = new URL(`http://localhost:${check(port, byPort)}`);
    return { url, socketPath: undefined, http2: false, label: url.origin };
  }
  if (byUrl === undefined) {
    throw new UsageError(
      "Where is your server? Give --port 4000, or --origin with an http://, https:// or unix: address.",
    );
  }
  const unix = /^unix:(?:\/\/)?(\/[^\0]*)$/.exec(byUrl.text)?.[1];
  if (unix !== undefined) {
    const url = new URL("http://localhost");
    return { url, socketPath: unix, http2: false, label: `unix:${unix}` };
  }
  const http2 = /^h2c:\/\//i.test(byUrl.text);
  const text = http2 ? byUrl.text.replace(/^h2c/i, "http") : byUrl.text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    url.pathname === "/" &&
    url.search === "" &&
    url.hash === "" &&
    url.username === "";
  if (!plain) {
    throw complaint(
      byUrl,
      "an http://, https:// or h2c:// URL without a path (that is --path), or unix:/path/to.sock",
    );
  }
  return { url, socketPath: undefined, http2, label: http2 ? `h2c://${url.host}` : url.origin };
}

function need(given: Given | undefined, flag: string, what: string): Given {
  if (given !== undefined) return given;
  const variable = `AGENT_${flag.slice(2).toUpperCase()}`;
  throw new UsageError(`${flag} is missing: ${what}. Give it, or set ${variable}.`);
}

function checkIf<S extends v.GenericSchema<unknown, unknown>>(
  schema: S,
  given: Given | undefined,
): v.InferOutput<S> | undefined {
  return given === undefined ? undefined : check(schema, given);
}

function check<S extends v.GenericSchema<unknown, unknown>>(
  schema: S,
  given: Given,
): v.InferOutput<S> {
  const result = v.safeParse(schema, given.text, { abortEarly: true });
  if (result.success) return result.output;
  throw complaint(given, result.issues[0].message);
}

/** A value may hold anything: what a terminal would act on is not shown as it is, and a password not at all. */
function complaint({ from, text: given }: Given, expects: string): UsageError {
  const text = withoutPassword(given);
  const shown = isHeaderValue(text) ? `"${text}"` : JSON.stringify(text);
  return new UsageError(`${from} must be ${expects}, not ${shown}.`);
}
