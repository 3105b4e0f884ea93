/** `agent token`: a signed token on stdout. */
import { tokenConfig } from "../config/config.ts";
import type { GivenValues } from "../config/given.ts";
import { checkSecret, readSecret, secretSource, surroundings } from "../config/secret.ts";
import { type ExitCode, exits, UsageError } from "../config/usage.ts";
import { signToken } from "../edge-here/token.ts";
import type { OpenLog } from "../terminal/open-log.ts";

/** @throws UsageError */
export async function token(given: GivenValues, { log }: OpenLog): Promise<ExitCode> {
  const config = tokenConfig(given);
  const secret = await readSecret(
    { what: "secret", ...secretSource(given["secretFile"], "TUNNEL_SECRET") },
    surroundings(log),
  );
  if (secret === undefined) {
    throw new UsageError("The edge's secret is missing: give --secret-file, or set TUNNEL_SECRET.");
  }
  checkSecret(secret);
  const { service, role, expiresMs } = config;
  const nowMs = Date.now();
  const signed = await signToken({ service, role, nowMs, expiresMs: nowMs + expiresMs }, secret);
  process.stdout.write(`${signed}\n`);
  return exits.clean;
}
