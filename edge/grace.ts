/**
 * How long what is under way survives the loss of its agent's socket, as the operator says it.
 */
import { TunnelError } from "../codec/errors.ts";
import { GRACE_MS, MAX_GRACE_MS } from "../codec/limits.ts";
import type { Env } from "./env.ts";

/**
 * GRACE_SECONDS in milliseconds.
 * @throws TunnelError `internal-error` for what is no number of seconds from 0 to an hour: a mistake must not go unnoticed.
 */
export function graceMsOf({ GRACE_SECONDS }: Pick<Env, "GRACE_SECONDS">): number {
  if (GRACE_SECONDS === undefined || GRACE_SECONDS === "") return GRACE_MS;
  const ms = Number(GRACE_SECONDS) * 1000;
  if (!/^\d+(?:\.\d+)?$/.test(GRACE_SECONDS) || ms > MAX_GRACE_MS) {
    throw new TunnelError(
      "internal-error",
      `GRACE_SECONDS must be from 0 to ${MAX_GRACE_MS / 1000}, not "${GRACE_SECONDS}"`,
    );
  }
  return Math.round(ms);
}
