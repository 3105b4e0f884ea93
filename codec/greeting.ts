/**
 * HELLO as a message: the first on each socket, alone in it, and the only one that is read before it is known which
 * session a socket carries.
 */
import { TunnelError } from "./errors.ts";
import type { Hello } from "./frame.ts";
import { MAX_MESSAGE_BYTES } from "./limits.ts";
import { frameKinds, MessageReader, MessageWriter } from "./wire.ts";

/** What an end says of itself in each HELLO. */
export type Introduction = Pick<Hello, "maxStreams" | "credit" | "grace" | "software">;

/** Whether a message begins as a HELLO does: an array of at most 15 elements, the first of them its kind. */
export function isHello(message: Uint8Array): boolean {
  const [array = 0, kind] = message;
  return array >= 0x91 && array <= 0x9f && kind === frameKinds.hello;
}

/** The message of a HELLO. */
export function writeHello(
  introduction: Introduction,
  session: string,
  received: number,
): Uint8Array {
  const writer = new MessageWriter();
  writer.add({ kind: "hello", session, received, ...introduction });
  return writer.take((bytes) => new Uint8Array(bytes));
}

/** The HELLO that a message is. @throws TunnelError when it is none, or more than one frame. */
export function readHello(message: Uint8Array): Hello {
  if (message.length > MAX_MESSAGE_BYTES) {
    throw new TunnelError("frame-too-large", `a first message of ${message.length} bytes`);
  }
  const reader = new MessageReader(message);
  const frame = reader.next();
  if (frame?.kind !== "hello") throw new TunnelError("protocol-error", "no HELLO at the beginning");
  if (reader.next() !== undefined)
    throw new TunnelError("protocol-error", "a HELLO is alone in its message");
  return frame;
}
