/** The name of what is connected to, as this machine's resolver knows it. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { type Check, fail, type Finding, ok, shortMs, sinceMs, skip, warn } from "./check.ts";
import { firstHop, type Scene } from "./scene.ts";

/** A resolver that takes longer costs every connection that time. */
const SLOW_MS = 1000;

export const dns: Check = {
  name: "dns",
  title: "DNS",
  needs: ["configuration"],
  target: (scene) => firstHop(scene).host,
  run: look,
};

async function look(scene: Scene): Promise<Finding> {
  const { host } = firstHop(scene);
  if (isIP(host) !== 0) return skip("an address, not a name");
  const startMs = performance.now();
  try {
    const found = await lookup(host, { all: true });
    const ms = sinceMs(startMs);
    const addresses = found.map(({ address }) => address);
    const shown = addresses.slice(0, 4).join(", ") + (addresses.length > 4 ? ", …" : "");
    const details = `${shown} in ${shortMs(ms)}`;
    const data = { addresses, lookupMs: ms };
    if (ms < SLOW_MS) return ok(details, data);
    return warn(details, "The resolver is slow: every connection waits for it.", data);
  } catch (error) {
    return unknown(scene, host, (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

function unknown({ reach }: Scene, host: string, code: string): Finding {
  const where = reach.proxy === undefined ? "--edge" : reach.proxy.variable;
  if (code === "ENOTFOUND") {
    const help =
      reach.proxy === undefined
        ? `Is it written right in ${where}? In a network where only a proxy knows names, set HTTPS_PROXY.`
        : `Is it written right in ${where}? Is the company's network or VPN connected?`;
    return fail(`nobody knows the name "${host}" (${code})`, help);
  }
  const help =
    "Is this machine online? Its name servers are in /etc/resolv.conf, or the system's network settings.";
  return fail(`the resolver did not answer for "${host}" (${code})`, help);
}
