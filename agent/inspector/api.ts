/**
 * What the inspector's API sends, as `docs/inspector.md` describes it. The page imports it too: it knows no Node.
 *
 * Times are milliseconds; those of one exchange count from when it was opened.
 */
import type { RequestOutcome } from "../events.ts";

/** What travels in the answer: bytes, server-sent events, lines of JSON, or a WebSocket's messages. */
export type Kind = "body" | "events" | "lines" | "socket";

/** How far an exchange has come. "waiting": for a slot at the origin. */
export type Phase = "waiting" | "connecting" | "asked" | "answering" | "over";

/** One exchange in the list. */
export interface Row {
  /** Counts up from 1 in the life of an agent. */
  readonly id: number;
  readonly service: string;
  /** When it was opened, since 1970. */
  readonly at: number;
  readonly method: string;
  readonly path: string;
  /** 0 until it is known. */
  readonly status: number;
  readonly phase: Phase;
  readonly kind: Kind;
  /** The answer's media type, without parameters. */
  readonly type: string;
  /** How long it has taken, so far or in all. */
  readonly ms: number;
  /** Bytes of the request's body at the origin. */
  readonly bytesIn: number;
  /** Bytes of the answer's body in the tunnel. */
  readonly bytesOut: number;
  /** Whether the origin is paused now because the visitor reads slower. */
  readonly stalled: boolean;
  /** "" until it is over. */
  readonly outcome: RequestOutcome | "";
  /** What went wrong, in words; "" when nothing did. */
  readonly says: string;
  /** The exchange that this one repeats; 0 for none. */
  readonly replayOf: number;
}

export interface List {
  /** Newest first. */
  readonly rows: readonly Row[];
  /** How many were seen in all, how many of them are under way, and how many are not kept any more. */
  readonly seen: number;
  readonly open: number;
  readonly forgotten: number;
}

/** A header or trailer field. A secret value is "••••" unless it was asked for. */
export interface Field {
  readonly name: string;
  readonly value: string;
  readonly secret: boolean;
}

/** A body, as far as it was kept. */
export interface BodyInfo {
  readonly bytes: number;
  readonly keptBytes: number;
  /** Whether every byte of it was kept, and it has ended. */
  readonly whole: boolean;
  readonly type: string;
  /** Its `Content-Encoding`; "" for none. */
  readonly encoding: string;
}

/** When what happened; null when it has not. */
export interface Timing {
  readonly started: number | null;
  readonly connected: number | null;
  readonly lastReceived: number | null;
  readonly answered: number | null;
  readonly firstSent: number | null;
  readonly lastSent: number | null;
  readonly ended: number | null;
  /** How long the origin was paused in all, and how often. */
  readonly stalledMs: number;
  readonly stalls: number;
}

/** How a WebSocket was closed. */
export interface Close {
  readonly by: "visitor" | "origin";
  /** 1005 when the close frame had none. */
  readonly code: number;
  readonly reason: string;
}

export interface Detail {
  readonly row: Row;
  /** As the edge's log and the header `sluice-request-id` name it. */
  readonly requestId: string;
  readonly publicUrl: string;
  readonly origin: string;
  readonly request: { readonly fields: readonly Field[]; readonly body: BodyInfo };
  readonly response: {
    readonly status: number;
    readonly reason: string;
    readonly fields: readonly Field[];
    readonly trailers: readonly Field[];
    readonly body: BodyInfo;
  } | null;
  readonly timing: Timing;
  readonly close: Close | null;
  /** Why it cannot be replayed as it is; "" when it can. */
  readonly noReplay: string;
  /** The exchanges that repeat it, as far as they are kept. */
  readonly replays: readonly number[];
  /** Whether memory ran short, and its bodies and its stream were dropped. */
  readonly dropped: boolean;
}

export type Direction = "in" | "out";

/** A piece of a body as it passed. */
export interface Chunk {
  /** Its number among those of the exchange, from 0. */
  readonly n: number;
  readonly at: number;
  /** "in": towards the origin. */
  readonly direction: Direction;
  readonly bytes: number;
  /** How much the visitor's side would still take before this chunk: the open window. */
  readonly creditBytes: number;
  /** What waited in the tunnel before this chunk. */
  readonly queuedBytes: number;
}

/** An event, a line, or a message of a WebSocket. */
export interface Message {
  readonly n: number;
  readonly at: number;
  readonly direction: Direction;
  readonly kind: "event" | "comment" | "line" | "text" | "binary" | "ping" | "pong" | "close";
  /** Bytes of its content in all. */
  readonly bytes: number;
  /** The beginning of its content; of a binary one in hexadecimal. */
  readonly text: string;
  /** Whether `text` is not all of it. */
  readonly cut: boolean;
  /** An event's type and id, or a close frame's code. */
  readonly label?: string;
}

/** Throughput and window over time, in equal steps. */
export interface Flow {
  readonly stepMs: number;
  /** Bytes towards the origin in each step, and from it. */
  readonly in: readonly number[];
  readonly out: readonly number[];
  /** The open window at the end of each step; -1 where nothing was measured. */
  readonly credit: readonly number[];
  /** How long the origin was paused in each step. */
  readonly stalledMs: readonly number[];
}

/** What passed in an exchange since the caller last asked. */
export interface Stream {
  readonly row: Row;
  /** The first chunk that is asked for and later ones; of the middle of a long stream none are kept. */
  readonly chunks: readonly Chunk[];
  readonly chunkCount: number;
  readonly messages: readonly Message[];
  readonly messageCount: number;
  /** Why there are no messages where one would expect them; "" otherwise. */
  readonly note: string;
  readonly flow: Flow | null;
}

/** Percentiles in milliseconds. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface Connection {
  readonly shard: number;
  readonly state: "connecting" | "connected" | "disconnected";
  readonly session: string;
  /** The latest round trip, and when it was measured, since 1970: with the greeting, and with each ping that is answered. */
  readonly rttMs: number;
  readonly measured: number;
  /** When it was connected or lost, since 1970. */
  readonly since: number;
  /** How often it was connected again; "resumed": with all that was in flight. */
  readonly reconnects: number;
  readonly resumed: number;
  /** Why it was lost; "" while it is not. */
  readonly says: string;
}

/** A value of the configuration and where it comes from. */
export interface Setting {
  readonly name: string;
  readonly value: string;
  readonly from: string;
}

export interface ServiceStatus {
  readonly service: string;
  readonly publicUrl: string;
  readonly origin: string;
  readonly concurrency: number;
  readonly connections: readonly Connection[];
  readonly settings: readonly Setting[];
}

export interface Status {
  readonly version: string;
  readonly protocol: string;
  readonly node: string;
  /** When the inspector began, since 1970. */
  readonly since: number;
  readonly services: readonly ServiceStatus[];
  readonly requests: {
    readonly seen: number;
    readonly open: number;
    readonly failed: number;
    readonly stalled: number;
  };
  /** From opened to ended, and what the origin took from the connection to the head of its answer. */
  readonly total: Percentiles;
  readonly origin: Percentiles;
  readonly kept: {
    readonly exchanges: number;
    readonly bytes: number;
    readonly mostExchanges: number;
    readonly mostBytes: number;
    readonly mostBodyBytes: number;
  };
  /** The largest windows of the protocol, in bytes. */
  readonly windows: { readonly initial: number; readonly most: number; readonly request: number };
}

/** What a replay may change. What is left out stays as it was. */
export interface Edits {
  readonly method?: string;
  readonly path?: string;
  /** Names and values. A value that is "••••" is the one that was sent. */
  readonly fields?: readonly (readonly [string, string])[];
  readonly body?: string;
}

/** What stands for a secret. */
export const MASK = "••••";
