/** Certificates that a person names by a file. */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { UsageError } from "./usage.ts";

/**
 * The text of a file of PEM certificates.
 * @param flag what to call it in a complaint
 * @throws UsageError when the file cannot be read or holds no certificate
 */
export function readCertificates(file: string, flag: string): string {
  try {
    const pem = readFileSync(file, "utf8");
    if (!pem.includes("-----BEGIN CERTIFICATE-----"))
      throw new Error("it holds no PEM certificate");
    createSecureContext({ ca: pem });
    return pem;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`The file "${file}" (${flag}) cannot be used: ${reason}.`);
  }
}
