/**
 * What a program can learn of an agent or an edge: the lines of `--json`, what the terminal shows, and what the library's
 * listeners get. Names and fields are a contract: extend, never rename.
 */
import type { ErrorCode } from "../codec/errors.ts";
import type { AgentCode } from "./codes.ts";

/** How a request ended: well, or with a code of the error table. */
export type RequestOutcome = "ok" | ErrorCode;

/** A finished exchange. Bytes are those of bodies, as the origin saw them. */
export interface RequestEvent {
  readonly event: "request";
  /** The request's name at the edge, the origin and the visitor: `sluice-request-id`. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly ms: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly outcome: RequestOutcome;
  /** What exactly went wrong at the origin, where more is known than the outcome says. */
  readonly reason?: string;
}

/** The edge's rule for visitors, its variable VISITORS. */
export type Visitors = "public" | "token";

/** Of a connection to another than the service's first object. */
interface OfShard {
  readonly shard?: number;
}

/** Everything a program can learn from us. */
export type AgentEvent =
  | { readonly event: "listening"; readonly url: string }
  /** The page that shows exchanges; the URL holds its token. */
  | { readonly event: "inspector"; readonly url: string }
  /** Metrics are there, and `/ready` beside them. */
  | { readonly event: "metrics"; readonly url: string }
  | (OfShard & {
      readonly event: "connected";
      readonly url: string;
      readonly service: string;
      readonly session: string;
      readonly rttMs: number;
      /** Where requests go. */
      readonly origin: string;
      /** How many it gets at once. */
      readonly concurrency: number;
      /** Whether it was connected before: the session that it had is lost. */
      readonly again: boolean;
      /** Whom the edge lets in: everybody, or who has a token. Undefined when it does not say. */
      readonly visitors?: Visitors;
    })
  | (OfShard & {
      readonly event: "disconnected";
      readonly code: AgentCode;
      readonly reason: string;
      readonly retryMs: number;
    })
  | (OfShard & {
      readonly event: "resumed";
      readonly session: string;
      /** Exchanges that went on. */
      readonly streams: number;
      readonly rttMs: number;
    })
  /** A ping was answered: one goes out every 20 s, every 5 s while requests are in flight. */
  | (OfShard & { readonly event: "roundTrip"; readonly rttMs: number })
  /** Over how many objects the edge spreads the service from now on. */
  | { readonly event: "shards"; readonly shards: number }
  /** The edge sends no more requests: another agent has taken over. */
  | { readonly event: "replaced" }
  | { readonly event: "draining"; readonly inFlight: number; readonly graceMs: number }
  /** Whether something takes connections at the origin; asked once, at the start. */
  | {
      readonly event: "origin";
      readonly origin: string;
      readonly up: boolean;
      /** How long the connection took to come to be. */
      readonly ms: number;
      /** Why there was none. */
      readonly reason?: string;
    }
  | { readonly event: "warning"; readonly code: AgentCode; readonly message: string }
  | { readonly event: "error"; readonly code: AgentCode; readonly message: string }
  | RequestEvent;

/** What an agent itself tells, and so what the library's listeners get: the others are a command's. */
export type TunnelEvent = Exclude<
  AgentEvent,
  { readonly event: "listening" | "inspector" | "metrics" | "origin" }
>;
