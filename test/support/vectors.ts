/**
 * The protocol's test vectors (`codec/vectors.json`) as this repository's types. How they are written is said in `PROTOCOL.md`,
 * under "Test vectors".
 */
import { readFileSync } from "node:fs";
import type { ErrorCode } from "../../codec/errors.ts";
import type { BodyLength, Frame } from "../../codec/frame.ts";

/** Bytes: groups of hexadecimal digits, each with `*n` behind it when it is there n times. */
type BytesText = string;
/** Text: itself, or pieces with how often each is there. */
type Text = string | readonly (readonly [string, number])[];
/** Header fields: a flat list, or one list that is there several times. */
type Fields = readonly Text[] | { readonly repeat: readonly Text[]; readonly times: number };
/** How much body follows, as it is on the wire. */
type Length = number | null;

export type FrameVector =
  | {
      readonly frame: "hello";
      readonly session: Text;
      readonly received: number;
      readonly maxStreams: number;
      readonly credit: number;
      readonly grace: number;
      readonly software: Text;
    }
  | {
      readonly frame: "request";
      readonly stream: number;
      readonly credit: number;
      readonly method: Text;
      readonly path: Text;
      readonly length: Length;
      readonly headers: Fields;
    }
  | {
      readonly frame: "response";
      readonly stream: number;
      readonly status: number;
      readonly reason: Text;
      readonly length: Length;
      readonly headers: Fields;
    }
  | { readonly frame: "data"; readonly stream: number; readonly bytes: BytesText }
  | { readonly frame: "end"; readonly stream: number; readonly trailers: Fields }
  | {
      readonly frame: "cancel";
      readonly stream: number;
      readonly code: ErrorCode;
      readonly note: Text;
    }
  | { readonly frame: "credit"; readonly stream: number; readonly bytes: number }
  | { readonly frame: "ping"; readonly token: number }
  | { readonly frame: "pong"; readonly token: number }
  | {
      readonly frame: "goaway";
      readonly last: number;
      readonly code: ErrorCode;
      readonly note: Text;
    }
  | { readonly frame: "ack"; readonly received: number };

type RequestVector = Pick<
  FrameVector & { frame: "request" },
  "method" | "path" | "length" | "headers"
>;
type ResponseVector = Pick<
  FrameVector & { frame: "response" },
  "status" | "reason" | "length" | "headers"
>;

export interface AcceptedVector {
  readonly name: string;
  readonly message: BytesText;
  readonly frames: readonly FrameVector[];
  /** Whether these bytes are what a sender writes for these frames, and not only what a receiver has to read. */
  readonly shortest: boolean;
  /** Whether the message has a number within its session. */
  readonly counts: boolean;
}

export interface RefusedVector {
  readonly name: string;
  readonly message: BytesText;
  readonly error: "protocol-error" | "frame-too-large";
}

export type End = "agent" | "edge";

/** What happens in a conversation, one after the other. */
export type Step =
  /** The agent has a socket, the first one or the next. */
  | { readonly socket: number }
  /** A message goes; `lost` when the other end never gets it. */
  | {
      readonly from: End;
      readonly message: BytesText;
      /** Null when the message cannot be read. */
      readonly frames: readonly FrameVector[] | null;
      readonly lost?: true;
    }
  /** An end closes the socket. */
  | { readonly from: End; readonly close: number }
  /** The socket is gone without a close frame, and these ends notice. */
  | { readonly cut: readonly End[] }
  /** Time passes. */
  | { readonly waitMs: number }
  /** An end is told to do something, by whoever uses the tunnel. */
  | Act
  /** What has become of a stream at an end. */
  | Outcome;

export type Act =
  | ({ readonly at: "edge"; readonly does: "open"; readonly stream: number } & RequestVector)
  | ({ readonly at: "agent"; readonly does: "answer"; readonly stream: number } & ResponseVector)
  | {
      readonly at: End;
      readonly does: "write";
      readonly stream: number;
      readonly bytes: BytesText;
    }
  | { readonly at: End; readonly does: "end"; readonly stream: number; readonly trailers: Fields }
  /** Takes all that has arrived of the body, and comes back for more. */
  | { readonly at: End; readonly does: "read"; readonly stream: number }
  | {
      readonly at: End;
      readonly does: "cancel";
      readonly stream: number;
      readonly code: ErrorCode;
      readonly note: string;
    }
  /** Needs no more of the body that arrives; the one that leaves goes on. */
  | { readonly at: End; readonly does: "decline"; readonly stream: number }
  /** Takes no new streams. */
  | { readonly at: End; readonly does: "drain"; readonly note: string }
  /** Loses its memory and keeps the socket, or loses both. */
  | { readonly at: "edge"; readonly does: "sleep" | "restart" };

export interface Outcome {
  readonly at: End;
  readonly outcomeOf: number;
  /** How many bytes of the body that arrives were read. */
  readonly read: number;
  /** Whether that was all of it, as its sender has said. */
  readonly complete: boolean;
  /** The code with which the exchange failed here, if it did. */
  readonly failed: ErrorCode | null;
}

export interface ConversationVector {
  readonly name: string;
  readonly about: string;
  /** Which end an implementation can be put in the place of: the other one misbehaves unless both are named. */
  readonly tests: readonly End[];
  readonly steps: readonly Step[];
}

/** What the sender of a body does, and the credit that it holds then. */
export interface SenderVector {
  readonly name: string;
  readonly start: number;
  readonly steps: readonly (
    | { readonly sends: number; readonly left: number }
    | { readonly given: number; readonly left: number }
    | { readonly given: number; readonly error: ErrorCode }
  )[];
}

/** What the receiver of a body with a window that stays as it is does. */
export interface ReceiverVector {
  readonly name: string;
  readonly window: number;
  readonly steps: readonly (
    | { readonly arrive: number; readonly buffered: number }
    | { readonly arrive: number; readonly error: ErrorCode }
    /** The reader has done with so many bytes, and CREDIT of `give` goes back; 0 is no frame. */
    | { readonly consumed: number; readonly give: number }
  )[];
}

export interface Vectors {
  readonly protocol: string;
  readonly accepted: readonly AcceptedVector[];
  readonly refused: readonly RefusedVector[];
  readonly conversations: readonly ConversationVector[];
  readonly credit: {
    readonly senders: readonly SenderVector[];
    readonly receivers: readonly ReceiverVector[];
  };
}

export const vectorsPath = new URL("../../codec/vectors.json", import.meta.url);

export function readVectors(): Vectors {
  return JSON.parse(readFileSync(vectorsPath, "utf8")) as Vectors;
}

/** The bytes that a text of the vectors means. @throws when it means none. */
export function bytesOf(text: BytesText): Uint8Array {
  const parts: Buffer[] = [];
  for (const group of text.split(" ")) {
    if (group === "") continue;
    const [, digits = "", times = "1"] = /^((?:[0-9a-f]{2})+)(?:\*([1-9]\d*))?$/.exec(group) ?? [];
    if (digits === "") throw new Error(`no bytes: ${group}`);
    const bytes = Buffer.from(digits, "hex");
    parts.push(Buffer.alloc(bytes.length * Number(times), bytes));
  }
  return Uint8Array.from(Buffer.concat(parts));
}

export function textOf(text: Text): string {
  return typeof text === "string" ? text : text.map(([part, times]) => part.repeat(times)).join("");
}

export function fieldsOf(fields: Fields): string[] {
  if (!("repeat" in fields)) return fields.map(textOf);
  return Array.from({ length: fields.times }, () => fields.repeat.map(textOf)).flat();
}

export function lengthOf(length: Length): BodyLength {
  if (length === null) return "none";
  return length === -1 ? "unknown" : length === -2 ? "socket" : length;
}

/** The frame that a vector describes. */
export function frameOf(vector: FrameVector): Frame {
  switch (vector.frame) {
    case "hello": {
      const { received, maxStreams, credit, grace } = vector;
      const [session, software] = [textOf(vector.session), textOf(vector.software)];
      return { kind: "hello", session, received, maxStreams, credit, grace, software };
    }
    case "request": {
      const { stream, credit } = vector;
      return { kind: "request", stream, credit, head: requestOf(vector) };
    }
    case "response":
      return { kind: "response", stream: vector.stream, head: responseOf(vector) };
    case "data":
      return { kind: "data", stream: vector.stream, bytes: bytesOf(vector.bytes) };
    case "end":
      return { kind: "end", stream: vector.stream, trailers: fieldsOf(vector.trailers) };
    case "cancel":
      return {
        kind: "cancel",
        stream: vector.stream,
        code: vector.code,
        note: textOf(vector.note),
      };
    case "credit":
      return { kind: "credit", stream: vector.stream, bytes: vector.bytes };
    case "ping":
    case "pong":
      return { kind: vector.frame, token: vector.token };
    case "goaway":
      return { kind: "goaway", last: vector.last, code: vector.code, note: textOf(vector.note) };
    case "ack":
      return { kind: "ack", received: vector.received };
    default:
      throw new Error(`no frame: ${JSON.stringify(vector)}`);
  }
}

export function requestOf(vector: RequestVector): {
  method: string;
  path: string;
  length: BodyLength;
  headers: string[];
} {
  const { method, path, length, headers } = vector;
  return {
    method: textOf(method),
    path: textOf(path),
    length: lengthOf(length),
    headers: fieldsOf(headers),
  };
}

export function responseOf(vector: ResponseVector): {
  status: number;
  reason: string;
  length: BodyLength;
  headers: string[];
} {
  const { status, reason, length, headers } = vector;
  return {
    status,
    reason: textOf(reason),
    length: lengthOf(length),
    headers: fieldsOf(headers),
  };
}
