/**
 * What travels: frames as a discriminated union, and the heads inside them.
 *
 * This file knows neither bytes (`wire.ts`) nor what a frame does to a stream (`mux.ts`).
 */
import type { ErrorCode } from "./errors.ts";

/**
 * Header fields in order, flat: name, value, name, value. Never a map: order and repetition (`Set-Cookie`) must
 * survive, and `__proto__` is a legal header name.
 */
export type HeaderList = readonly string[];

/**
 * How many bytes of body follow a head: exactly so many, a number not known yet, or no body at all. "socket": none of HTTP's, but the
 * bytes of a WebSocket connection (RFC 6455 section 5), both ways, as they would follow an upgrade.
 */
export type BodyLength = number | "unknown" | "none" | "socket";

export interface RequestHead {
  readonly method: string;
  /** The request target in origin form, byte for byte as the visitor sent it. */
  readonly path: string;
  readonly headers: HeaderList;
  readonly length: BodyLength;
}

export interface ResponseHead {
  /** 200 to 599, or 101 when a WebSocket follows; interim answers do not travel. */
  readonly status: number;
  readonly reason: string;
  readonly headers: HeaderList;
  readonly length: BodyLength;
}

/** The first frame of each end on each socket, and again when the edge has forgotten the session (hibernation). */
export interface Hello {
  readonly kind: "hello";
  /** The session this end believes in; "" when it has none. */
  readonly session: string;
  /** How many of the other end's messages this end has received in that session: the others have to be sent again. */
  readonly received: number;
  /** How many streams the other end may have open at once. */
  readonly maxStreams: number;
  /** The credit the other end has for each request body from the start. */
  readonly credit: number;
  /** How long the sender keeps the session after it has lost its socket, in milliseconds; the agent keeps it as long as the edge. */
  readonly grace: number;
  /** Name and version, for status pages and logs. */
  readonly software: string;
}

export type Frame =
  | Hello
  | {
      readonly kind: "request";
      readonly stream: number;
      /** The credit for the answer's body: the opener decides what it can hold. */
      readonly credit: number;
      readonly head: RequestHead;
    }
  | { readonly kind: "response"; readonly stream: number; readonly head: ResponseHead }
  | {
      readonly kind: "data";
      readonly stream: number;
      readonly bytes: Uint8Array;
      /** Not on the wire: what lies before `bytes` in its buffer is free for the frame's header. See `OutgoingBody.headroom`. */
      readonly headroom?: true;
    }
  | { readonly kind: "end"; readonly stream: number; readonly trailers: HeaderList }
  | {
      readonly kind: "cancel";
      readonly stream: number;
      readonly code: ErrorCode;
      readonly note: string;
    }
  | { readonly kind: "credit"; readonly stream: number; readonly bytes: number }
  | { readonly kind: "ping"; readonly token: number }
  | { readonly kind: "pong"; readonly token: number }
  | {
      readonly kind: "goaway";
      /** The last stream the sender will still serve. */
      readonly last: number;
      readonly code: ErrorCode;
      readonly note: string;
    }
  | {
      readonly kind: "ack";
      /** How many messages of the session have been received (cumulative). */
      readonly received: number;
    };

export type FrameKind = Frame["kind"];
