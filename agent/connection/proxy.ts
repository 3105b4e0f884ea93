/**
 * Which proxy leads to an edge: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, as curl reads them.
 *
 * It opens no connection (`tunnel.ts` does), and shows nothing of the credentials in a proxy's URL.
 */
import { BlockList, isIP } from "node:net";
import { isLoopback } from "../config/loopback.ts";
import { UsageError } from "../config/usage.ts";

export interface Proxy {
  readonly host: string;
  readonly port: number;
  /** Whether the proxy itself is spoken to over TLS. */
  readonly secure: boolean;
  /** A `Proxy-Authorization` value. */
  readonly authorization: string | undefined;
  /** The variable that named it. */
  readonly variable: string;
  /** Its URL without credentials. */
  readonly url: string;
  /** The same and the variable: for sentences. */
  readonly label: string;
}

/**
 * The proxy for `url` (ws: or http:, wss: or https:), or undefined when it is to be reached directly, as this machine
 * always is.
 * @throws UsageError when the variable holds what cannot be used
 */
export function proxyFor(url: URL, environment: NodeJS.ProcessEnv): Proxy | undefined {
  const secure = /^(?:wss|https):$/.test(url.protocol);
  const names = secure ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy", "HTTP_PROXY"];
  const variable = names.find((name) => (environment[name] ?? "") !== "");
  if (variable === undefined || isLoopback(url)) return undefined;
  // An empty one in lower case is as good as none.
  const except = environment["no_proxy"] || environment["NO_PROXY"] || "";
  if (isExcepted(url, except)) return undefined;
  return parse(environment[variable] ?? "", variable);
}

function parse(text: string, variable: string): Proxy {
  const given = text.trim();
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(given)?.[1]?.toLowerCase();
  if (scheme?.startsWith("socks") === true) {
    throw new UsageError(
      `${variable} names a SOCKS proxy (${scheme}://), and Sluice speaks to HTTP proxies only. Give the company's HTTP proxy, or run one that goes on to the SOCKS proxy (privoxy's forward-socks5 does), and name that.`,
    );
  }
  const whole = scheme === undefined ? `http://${given}` : given;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === "") {
    // Not quoted: it may hold a password.
    throw new UsageError(
      `${variable} must be a proxy's URL like http://proxy.example:3128 or http://user:password@proxy.example:3128; what a password has of :, /, @, #, ? or % is written as %3A, %2F, %40, %23, %3F or %25.`,
    );
  }
  const secure = url.protocol === "https:";
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port || (secure ? 443 : 80)),
    secure,
    authorization: credentials(url, variable),
    variable,
    url: url.origin,
    label: `the proxy ${url.origin} (${variable})`,
  };
}

/** RFC 7617. */
function credentials({ username, password }: URL, variable: string): string | undefined {
  if (username === "" && password === "") return undefined;
  try {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(pair).toString("base64")}`;
  } catch {
    throw new UsageError(`The password in ${variable} has a % that must be written as %25.`);
  }
}

/**
 * Whether `NO_PROXY` names the host: `*`, a name (which means what is below it too, with or without a dot before it), an
 * address, a network like 10.0.0.0/8; each but the last two with a port if need be.
 */
function isExcepted(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const port = url.port || (/^(?:wss|https):$/.test(url.protocol) ? "443" : "80");
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === "*") return true;
      const bare = entry.replace(/^\[(.*)\]$/, "$1");
      if (isIP(bare) !== 0) return bare === host;
      if (entry.includes("/")) return isWithin(host, entry);
      const [, name = "", only] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      const domain = name.replace(/^\*?\./, "");
      if (domain === "" || (only !== undefined && only !== port)) return false;
      return host === domain || host.endsWith(`.${domain}`);
    });
}

function isWithin(host: string, network: string): boolean {
  const [address = "", bits = ""] = network.split("/", 2);
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  const networks = new BlockList();
  try {
    networks.addSubnet(address, /^\d+$/.test(bits) ? Number(bits) : -1, family);
  } catch {
    return false;
  }
  return isIP(host) !== 0 && networks.check(host, isIP(host) === 6 ? "ipv6" : "ipv4");
}
