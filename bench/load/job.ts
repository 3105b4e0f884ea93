/**
 * What the load generator can be asked to do, and what it answers. Times are in ms.
 */

/** Where requests go: always to 127.0.0.1. */
export interface Target {
  readonly port: number;
  /** What a peer routes by; the address when there is nothing to say. */
  readonly host?: string;
  /** In front of the origin's paths, e.g. "/send/bench". */
  readonly prefix: string;
}

export type Job =
  /** Small requests, `concurrency` at a time on as many connections, for `ms` after `warmMs`. */
  | {
      readonly kind: "small";
      readonly target: Target;
      readonly concurrency: number;
      readonly warmMs: number;
      readonly ms: number;
    }
  /** `streams` downloads of `bytes` each, cut after `ms`. */
  | {
      readonly kind: "download";
      readonly target: Target;
      readonly streams: number;
      readonly bytes: number;
      readonly ms: number;
    }
  /** `streams` uploads of `bytes` each, which fail when they take longer than `ms`. */
  | {
      readonly kind: "upload";
      readonly target: Target;
      readonly streams: number;
      readonly bytes: number;
      readonly ms: number;
    }
  /** An event stream: `count` events, one every `everyMs`. */
  | {
      readonly kind: "events";
      readonly target: Target;
      readonly everyMs: number;
      readonly count: number;
    }
  /**
   * `sockets` WebSockets that each send a message every `everyMs` and wait for its echo, and `streams` event streams with an
   * event every `eventEveryMs`, evenly spread, for `ms` after `warmMs`.
   */
  | {
      readonly kind: "sockets";
      readonly target: Target;
      readonly sockets: number;
      readonly everyMs: number;
      readonly streams: number;
      readonly eventEveryMs: number;
      readonly warmMs: number;
      readonly ms: number;
    }
  /** `readers` that ask for `bytes` each and stop reading; goes on until "release". */
  | {
      readonly kind: "stall";
      readonly target: Target;
      readonly readers: number;
      readonly bytes: number;
    }
  /** Ends downloads and stalled readers that are under way. */
  | { readonly kind: "release" };

/** Figures by name, as `requests`, `bytes`, `elapsedMs`, `p50Ms`, `firstByteMs`. */
export type JobResult = Readonly<Record<string, number>>;
