/**
 * Which proxy leads to an edge: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as curl reads them.
 *
 * It opens no connection (`tunnel.ts` and `socks.ts` do), and shows nothing of the credentials in a proxy's URL.
 */
import { BlockList, isIP } from "node:net";
import { isLoopback } from "../config/loopback.ts";
import { UsageError } from "../config/usage.ts";

interface AnyProxy {
  readonly host: string;
  readonly port: number;
  /** The variable that named it. */
  readonly variable: string;
  /** Its URL without credentials. */
  readonly url: string;
  /** The same and the variable: for sentences. */
  readonly label: string;
}

/** One that is asked with CONNECT. */
export interface HttpProxy extends AnyProxy {
  readonly kind: "http";
  /** Whether the proxy itself is spoken to over TLS. */
  readonly secure: boolean;
  readonly login: Login | undefined;
}

export interface SocksProxy extends AnyProxy {
  readonly kind: "socks";
  readonly version: 4 | 5;
  /** Who looks the edge's name up: this machine, or the proxy. */
  readonly names: "here" | "there";
  /** SOCKS4 knows users, and no passwords. */
  readonly login: Login | undefined;
}

export type Proxy = HttpProxy | SocksProxy;

export interface Login {
  readonly user: string;
  readonly password: string;
}

const socksSchemes = new Map<string, Pick<SocksProxy, "version" | "names">>([
  ["socks4", { version: 4, names: "here" }],
  ["socks4a", { version: 4, names: "there" }],
  ["socks5", { version: 5, names: "here" }],
  ["socks5h", { version: 5, names: "there" }],
  // Desktops write this for a proxy of any version. curl takes it for SOCKS4, which many servers no longer speak.
  ["socks", { version: 5, names: "there" }],
]);

/** RFC 1929 has one byte for a length. */
const MAX_SOCKS_LOGIN_BYTES = 255;

/** The variable that says how `url` is reached, if one does; `NO_PROXY` may still lead around what it names. */
export function proxyVariable(url: URL, environment: NodeJS.ProcessEnv): string | undefined {
  // An empty one is as good as none.
  return proxyVariables(url).find((name) => (environment[name] ?? "") !== "");
}

/** The variables that are looked for, the first one first. */
function proxyVariables(url: URL): readonly string[] {
  const own = isSecure(url) ? "https_proxy" : "http_proxy";
  return [own, own.toUpperCase(), "all_proxy", "ALL_PROXY"];
}

/**
 * The proxy for `url` (ws: or http:, wss: or https:), or undefined when it is to be reached directly, as this machine
 * always is.
 * @throws UsageError when the variable holds what cannot be used
 */
export function proxyFor(url: URL, environment: NodeJS.ProcessEnv): Proxy | undefined {
  const variable = proxyVariable(url, environment);
  if (variable === undefined || isLoopback(url)) return undefined;
  const except = environment["no_proxy"] || environment["NO_PROXY"] || "";
  if (isExcepted(url, except)) return undefined;
  return parse(environment[variable] ?? "", variable);
}

function parse(text: string, variable: string): Proxy {
  const given = text.trim();
  const written = /^([a-z][a-z0-9+.-]*):\/\//i.exec(given)?.[1]?.toLowerCase();
  const scheme = written ?? "http";
  const whole = written === undefined ? `http://${given}` : given;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (scheme.startsWith("pac+") || /\.(?:pac|dat)$/i.test(url?.pathname ?? "")) {
    throw new UsageError(
      `${variable} names a file of automatic configuration (PAC), and Sluice reads none. Look into it for the proxy that it gives for your edge, and name that, as in http://proxy.example:3128.`,
    );
  }
  const socks = socksSchemes.get(scheme);
  const known = socks !== undefined || scheme === "http" || scheme === "https";
  if (url === undefined || !known || url.hostname === "") {
    // Not quoted: it may hold a password.
    throw new UsageError(
      `${variable} must be a proxy's URL like http://proxy.example:3128, http://user:password@proxy.example:3128 or socks5h://proxy.example:1080; what a password has of :, /, @, #, ? or % is written as %3A, %2F, %40, %23, %3F or %25.`,
    );
  }
  const shown = `${scheme}://${url.host}`;
  const common = {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    variable,
    url: shown,
    label: `the proxy ${shown} (${variable})`,
    login: loginOf(url, variable),
  };
  if (socks === undefined) {
    const secure = scheme === "https";
    return { ...common, kind: "http", port: Number(url.port || (secure ? 443 : 80)), secure };
  }
  checkSocksLogin(socks.version, common.login, variable);
  return { ...common, kind: "socks", port: Number(url.port || 1080), ...socks };
}

function loginOf({ username, password }: URL, variable: string): Login | undefined {
  if (username === "" && password === "") return undefined;
  try {
    return { user: decodeURIComponent(username), password: decodeURIComponent(password) };
  } catch {
    throw new UsageError(`The password in ${variable} has a % that must be written as %25.`);
  }
}

/** @throws UsageError for what the protocol has no room for */
function checkSocksLogin(version: 4 | 5, login: Login | undefined, variable: string): void {
  if (login === undefined) return;
  const { user, password } = login;
  if (version === 4 && password !== "") {
    throw new UsageError(
      `${variable} holds a password, and SOCKS4 knows users without one. If the proxy speaks SOCKS5 too, write socks5:// or socks5h://.`,
    );
  }
  if (version === 4 && user.includes("\0")) {
    throw new UsageError(`The user in ${variable} has a %00, with which SOCKS4 ends a name.`);
  }
  if ([user, password].some((each) => Buffer.byteLength(each) > MAX_SOCKS_LOGIN_BYTES)) {
    throw new UsageError(
      `User and password in ${variable} may have ${MAX_SOCKS_LOGIN_BYTES} bytes each: SOCKS has no room for more.`,
    );
  }
}

/**
 * Whether `NO_PROXY` names the host: `*`, a name (which means what is below it too, with or without a dot before it), an
 * address, a network like 10.0.0.0/8; each but the last two with a port if need be.
 */
function isExcepted(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const port = url.port || (isSecure(url) ? "443" : "80");
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

function isSecure({ protocol }: URL): boolean {
  return protocol === "wss:" || protocol === "https:";
}
