/**
 * What has passed through the object since it woke: numbers only, added up in memory and lost with it.
 */
import type { ErrorCode } from "../codec/errors.ts";

export class Totals {
  /** Milliseconds since 1970. */
  readonly since = Date.now();
  requests = 0;
  bytesFromVisitors = 0;
  bytesToVisitors = 0;
  readonly #failures = new Map<ErrorCode, number>();

  failed(code: ErrorCode): void {
    this.#failures.set(code, (this.#failures.get(code) ?? 0) + 1);
  }

  toJSON(): object {
    return {
      since: this.since,
      requests: this.requests,
      failures: Object.fromEntries(this.#failures),
      bytesFromVisitors: this.bytesFromVisitors,
      bytesToVisitors: this.bytesToVisitors,
    };
  }
}
