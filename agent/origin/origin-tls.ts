/** Whose word for an `https://` origin is taken: Node's authorities, one of your own, or anybody's. */
import { isIP } from "node:net";
import { readCertificates } from "../config/pem.ts";

/** What every TLS connection to the origin is opened with. */
export interface OriginTls {
  readonly ca?: string;
  readonly rejectUnauthorized: boolean;
}

/**
 * @param caFile PEM certificates that are trusted, and no others; those that Node knows when undefined
 * @throws UsageError when the file cannot be read or holds no certificate
 */
export function originTls(caFile: string | undefined, insecure: boolean): OriginTls {
  if (caFile === undefined) return { rejectUnauthorized: !insecure };
  const ca = readCertificates(caFile, "--origin-ca");
  return { ca, rejectUnauthorized: !insecure };
}

/** The name that a certificate must have, and that the server is asked for: that of `Host`, as a browser would. Addresses are not sent (RFC 6066 section 3). */
export function serverName(host: string): string {
  const name = host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
  return isIP(name) === 0 ? name : "";
}
