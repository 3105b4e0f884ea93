/**
 * What has passed through the object since it woke: numbers only, added up in memory and lost with it.
 */
import type { ErrorCode } from "../codec/errors.ts";

/** Counts bytes of bodies as they pass. */
export interface Tally {
  fromVisitor(bytes: number): void;
  toVisitor(bytes: number): void;
}

export class Totals implements Tally {
  /** Milliseconds since 1970. */
  readonly since = Date.now();
  requests = 0;
  bytesFromVisitors = 0;
  bytesToVisitors = 0;
  readonly #failures = new Map<ErrorCode, number>();

  fromVisitor(bytes: number): void {
    this.bytesFromVisitors += bytes;
  }

  toVisitor(bytes: number): void {
    this.bytesToVisitors += bytes;
  }

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
