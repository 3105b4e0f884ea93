/** Certificates and their keys that a person names by a file. */
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Given } from "./given.ts";
import { UsageError } from "./usage.ts";

/** What a server shows, and proves that it is its own: the PEM texts of a certificate with its chain, and of its key. */
export interface Keypair {
  readonly cert: string;
  readonly key: string;
}

/** @throws UsageError when one cannot be read, or the key is not the certificate's */
export function readKeypair(cert: Given, key: Given): Keypair {
  const pair = { cert: readCertificates(cert.text, cert.from), key: readKey(key) };
  try {
    createSecureContext(pair);
    return pair;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      `The key in "${key.text}" (${key.from}) is not that of the certificate in "${cert.text}" (${cert.from}): ${reason}.`,
    );
  }
}

/** Nothing of what the file holds gets into a complaint. */
function readKey({ text, from }: Given): string {
  try {
    const pem = readFileSync(text, "utf8");
    createPrivateKey(pem);
    return pem;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      `The file "${text}" (${from}) is no private key that can be used: ${reason}.`,
    );
  }
}

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
