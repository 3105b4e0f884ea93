/**
 * How long to wait before the next dial: exponential, with full jitter.
 *
 * Pure: it neither waits nor draws its own random numbers. Full jitter (a uniform draw from zero to the bound) spreads
 * the agents of a restarted edge better than any fixed delay with noise on top.
 */

/** The bound of the first wait after a loss: a lone agent is back at once, a thousand are spread over half a second. */
export const BACKOFF_BASE_MS = 500;

/** The bound of every later wait: an edge that returns after an hour has its agents back within this time. */
export const BACKOFF_CAP_MS = 15_000;

/** However long the edge asks agents to stay away, they look again after this time. */
export const RETRY_AFTER_CAP_MS = 300_000;

/** The bound of waits while the edge may still keep what is in flight. */
export const URGENT_CAP_MS = 1000;

export interface Wait {
  /** 0 is the first dial after a loss. */
  readonly attempt: number;
  /** Whether requests in flight wait for the connection. */
  readonly busy: boolean;
  /** Whether the edge may still keep them, and hold visitors for us. */
  readonly urgent: boolean;
  /** What a `Retry-After` of the edge asked for; 0 when nothing. */
  readonly retryAfterMs: number;
}

/**
 * Milliseconds to wait before a dial. The first after a loss comes at once when requests are in flight: an edge that lost
 * all its agents together lost all of those, so it is no herd that comes back.
 * @param random uniform in [0, 1)
 */
export function backoffMs({ attempt, busy, urgent, retryAfterMs }: Wait, random: number): number {
  if (attempt === 0 && busy && retryAfterMs === 0) return 0;
  // 2 ** 30 is far above the cap: the exponent stays finite however long the edge is away.
  const capMs = urgent ? URGENT_CAP_MS : BACKOFF_CAP_MS;
  const boundMs = Math.min(capMs, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 30));
  return Math.min(retryAfterMs, RETRY_AFTER_CAP_MS) + random * boundMs;
}

/**
 * A `Retry-After` value as milliseconds from `nowMs`; undefined when it is neither seconds nor a date
 * (RFC 9110 section 10.2.3).
 */
export function retryAfterMs(value: string, nowMs: number): number | undefined {
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
