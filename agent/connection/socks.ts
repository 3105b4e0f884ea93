/**
 * A connection through a SOCKS proxy (RFC 1928, RFC 1929, SOCKS 4 and 4A), and in words why the proxy would not.
 *
 * The library shakes hands and does nothing else: the connection is ours, and so is the time that all of it may take.
 */
import { lookup } from "node:dns/promises";
import { isIP, type Socket } from "node:net";
import { type ClientError, faultReason } from "../origin/fault.ts";
import { direct } from "./direct.ts";
import type { SocksProxy } from "./proxy.ts";
import { ProxyUnauthorized, Unreachable } from "./unreachable.ts";

interface Target {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Bytes both ways between us and `target`.
 * @throws Unreachable
 */
export async function throughSocks(
  proxy: SocksProxy,
  target: Target,
  deadline: AbortSignal,
): Promise<Socket> {
  // 40 ms of loading are for those alone who have such a proxy; and they come before a socket that nobody listens to yet.
  const { SocksClient } = await import("socks");
  const host = await destinationOf(proxy, target.host, deadline);
  const socket = await reached(proxy, deadline);
  const late = (): void => void socket.destroy();
  deadline.addEventListener("abort", late);
  try {
    await SocksClient.createConnection({
      command: "connect",
      proxy: {
        host: proxy.host,
        port: proxy.port,
        type: proxy.version,
        ...(proxy.login && { userId: proxy.login.user, password: proxy.login.password }),
      },
      destination: { host, port: target.port },
      existing_socket: socket,
    });
    return socket;
  } catch (error) {
    // Only its words: the library's error holds the password.
    const { message } = error as Error;
    if (!deadline.aborted) throw refusal(proxy, target, message);
    throw new Unreachable(`${proxy.label} did not connect us to ${addressOf(target)} in time`);
  } finally {
    deadline.removeEventListener("abort", late);
  }
}

/** What the proxy is asked for: the name, where it looks names up, and else the address. */
async function destinationOf(
  { version, names, variable }: SocksProxy,
  host: string,
  deadline: AbortSignal,
): Promise<string> {
  if (version === 4 && isIP(host) === 6) {
    throw new Unreachable(
      `SOCKS4 knows no IPv6 addresses, as ${host} is one; name a SOCKS5 proxy in ${variable}`,
    );
  }
  if (names === "there" || isIP(host) !== 0) return host;
  const { promise, reject } = Promise.withResolvers<never>();
  const late = (): void =>
    reject(new Unreachable(`this machine's resolver did not answer for "${host}" in time`));
  deadline.addEventListener("abort", late);
  try {
    // Few proxies that have IPv6 lack IPv4.
    const looking = lookup(host, { family: version === 4 ? 4 : 0, order: "ipv4first" });
    return (await Promise.race([looking, promise])).address;
  } catch (error) {
    if (error instanceof Unreachable) throw error;
    const { code = "" } = error as ClientError;
    const [written, better] = version === 4 ? ["socks4", "socks4a"] : ["socks5", "socks5h"];
    throw new Unreachable(
      `this machine cannot look up the name "${host}" (${code}); with ${better}:// instead of ${written}:// in ${variable} the proxy does`,
    );
  } finally {
    deadline.removeEventListener("abort", late);
  }
}

async function reached({ host, port, label }: SocksProxy, deadline: AbortSignal): Promise<Socket> {
  try {
    return await direct(host, port, deadline);
  } catch (error) {
    if (deadline.aborted) throw new Unreachable(`${label} did not answer in time`);
    throw new Unreachable(`${label} cannot be reached: ${faultReason(error as ClientError)}`);
  }
}

/** What the replies mean that say that the proxy tried, by the library's names. */
const attempts = new Map([
  ["Failure", "general failure (1)"],
  ["NetworkUnreachable", "network unreachable (3)"],
  ["HostUnreachable", "host unreachable (4)"],
  ["ConnectionRefused", "connection refused (5)"],
  ["TTLExpired", "TTL expired (6)"],
  // SOCKS4 has one reply for both.
  ["Failed", "request rejected or failed (91)"],
]);

/** And those that say that it will not. */
const refusals = new Map([
  ["NotAllowed", "not allowed by its rules (2)"],
  ["CommandNotSupported", "command not supported (7)"],
  ["Rejected", "it asks this machine's identd who you are, and got no answer (92)"],
  ["RejectedIdent", "this machine's identd tells another user (93)"],
]);

/** @param says the message of the library, which has no codes */
function refusal(proxy: SocksProxy, { host, port }: Target, says: string): Unreachable {
  const { label, variable, version, names } = proxy;
  const target = addressOf({ host, port });
  if (/authentication/i.test(says)) return unauthorized(proxy, says);
  const [, reply] = /rejected connection - \(?(\w+)/.exec(says) ?? [];
  if (reply === undefined && !/version/.test(says)) {
    const why = says === "Socket closed" ? "" : ` (${says})`;
    return new Unreachable(
      `${label} broke the connection off instead of leading to ${target}${why}; some, as ssh -D, do so when they cannot reach it`,
    );
  }
  const attempt = attempts.get(reply ?? "");
  if (attempt !== undefined) {
    return new Unreachable(`${label} cannot reach ${target} itself: ${attempt}`);
  }
  const will = refusals.get(reply ?? "");
  if (will !== undefined) {
    return new Unreachable(
      `${label} refuses to connect to ${target}: ${will}; whoever runs it must allow that (or name the host in NO_PROXY if it can be reached directly)`,
    );
  }
  if (reply === "AddressNotSupported") {
    const other = names === "there" ? "socks5:// in it this machine" : "socks5h:// in it the proxy";
    const help =
      isIP(host) === 0 ? `; ${variable} decides who looks names up: with ${other} does` : "";
    return new Unreachable(
      `${label} takes no address like that of ${target}: address type not supported (8)${help}`,
    );
  }
  return new Unreachable(
    `${label} does not answer as SOCKS${version} does; if it is an HTTP proxy, write http:// in ${variable}, and ${version === 5 ? "socks4" : "socks5"}:// if it is one of that version`,
  );
}

function unauthorized({ label, variable, login }: SocksProxy, says: string): ProxyUnauthorized {
  if (login === undefined && !says.includes("unknown")) {
    return new ProxyUnauthorized(
      `${label} wants credentials (SOCKS5): put them into ${variable}, as in socks5h://user:password@proxy.example:1080`,
    );
  }
  if (says.includes("Authentication failed")) {
    return new ProxyUnauthorized(
      `${label} refuses the credentials that ${variable} holds (SOCKS5): correct them there`,
    );
  }
  return new ProxyUnauthorized(
    `${label} wants a login that Sluice does not speak (SOCKS5, neither none nor a password): ask whoever runs it for a user and a password`,
  );
}

function addressOf({ host, port }: Target): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
