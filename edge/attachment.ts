/**
 * What one agent's socket keeps while the object sleeps, versioned and checked.
 *
 * It is written once, when the agent's HELLO has arrived, and never on the path of a request. Who the agent is lives
 * in the socket's tag, which survives too and can be searched.
 */
import * as v from "valibot";
import type { Hello } from "../codec/frame.ts";
import type { Secret } from "./auth.ts";

const hello = v.object({
  kind: v.literal("hello"),
  session: v.string(),
  received: v.number(),
  maxStreams: v.number(),
  credit: v.number(),
  grace: v.number(),
  software: v.string(),
});

const attachment = v.object({
  /** Counts up when the members change: an object of newer code then closes the socket and the agent dials again. */
  version: v.literal(3),
  /** Milliseconds since 1970. */
  connectedAt: v.number(),
  /** Which secret signed the agent's token. */
  secret: v.picklist(["current", "previous"]),
  /** What the agent's HELLO said. */
  peer: hello,
});

export interface Attachment {
  readonly connectedAt: number;
  readonly secret: Secret;
  readonly peer: Hello;
}

/** Leaves `kept` with the socket. */
export function attach(ws: WebSocket, kept: Attachment): void {
  ws.serializeAttachment({ version: 3, ...kept });
}

/**
 * What was left with the socket: undefined before the agent's HELLO.
 * @throws ValiError when other code wrote it.
 */
export function attachmentOf(ws: WebSocket): Attachment | undefined {
  const kept: unknown = ws.deserializeAttachment();
  return kept === null || kept === undefined ? undefined : v.parse(attachment, kept);
}
