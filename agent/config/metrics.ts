/** Where metrics and readiness are, for the agent that tells them and for who asks. */
import { isIPv6 } from "node:net";
import { durationMs } from "./duration.ts";
import type { GivenValues } from "./given.ts";
import { UsageError } from "./usage.ts";

export interface MetricsAddress {
  /** A name or an address, without the brackets of IPv6. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

export interface ReadyConfig {
  readonly address: MetricsAddress;
  readonly timeoutMs: number;
}

const READY_TIMEOUT_MS = 2000;
const MAX_READY_TIMEOUT_MS = 3_600_000;

/** Undefined when nobody wants them. @throws UsageError */
export function metricsConfig({ metrics }: GivenValues): MetricsAddress | undefined {
  if (metrics === undefined) return undefined;
  const { text, from } = metrics;
  const found = /^(?:(?:\[([0-9a-f:.]+)\]|([0-9a-z.-]+)):)?(\d{1,5})$/i.exec(text);
  const [, six, name, digits] = found ?? [];
  const port = Number(digits);
  if (port <= 65_535 && (six === undefined || isIPv6(six))) {
    return { host: six ?? name ?? "127.0.0.1", port };
  }
  throw new UsageError(
    `${from} must be a port like 9090, or an address with one like 127.0.0.1:9090 or [::1]:9090, not ${JSON.stringify(text)}.`,
  );
}

/** @throws UsageError */
export function readyConfig(given: GivenValues): ReadyConfig {
  const address = metricsConfig(given);
  if (address === undefined) {
    throw new UsageError(
      "Where does the agent tell how it is? Give --metrics with the same address as to `agent connect`, or set AGENT_METRICS for both.",
    );
  }
  if (address.port === 0) {
    throw new UsageError(
      `${given["metrics"]?.from ?? "--metrics"} must have the port that the agent listens on, not 0: its event "metrics" says which the system chose.`,
    );
  }
  return { address: { ...address, host: here(address.host) }, timeoutMs: timeoutOf(given) };
}

/** Who listens on every address of a machine is asked at its own. */
function here(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

function timeoutOf({ timeout }: GivenValues): number {
  if (timeout === undefined) return READY_TIMEOUT_MS;
  const ms = durationMs(timeout.text);
  if (ms !== undefined && ms > 0 && ms <= MAX_READY_TIMEOUT_MS) return ms;
  throw new UsageError(
    `${timeout.from} must be a time like 500ms or 2s, at most 1h, not ${JSON.stringify(timeout.text)}.`,
  );
}
