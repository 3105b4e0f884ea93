/** The token of an agent, from wherever the person keeps it. */
import type { ConnectConfig } from "../config/config.ts";
import type { GivenValues } from "../config/given.ts";
import { readSecret, secretSource, surroundings } from "../config/secret.ts";
import { UsageError } from "../config/usage.ts";
import type { Log } from "../terminal/log.ts";

/** @throws UsageError when there is none, or when it cannot be one */
export async function agentToken(
  config: ConnectConfig,
  given: GivenValues,
  log: Log,
): Promise<string> {
  const secret = await readSecret(
    { what: "token", ...secretSource(given["tokenFile"], "AGENT_TOKEN") },
    surroundings(log),
  );
  if (secret === undefined) {
    throw new UsageError(
      `A token is missing for "${config.service}": give --token-file, or set AGENT_TOKEN. Whoever has the edge's secret makes one with \`agent token\`.`,
    );
  }
  if (!/^[\x21-\x7e]+$/.test(secret)) {
    throw new UsageError("The token must be one word, as `agent token` prints it.");
  }
  return secret;
}
