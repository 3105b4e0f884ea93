/** The end of a connection that is an RST: as from a proxy that lost its state, or a process that was killed. */
import type { Socket } from "node:net";

/**
 * Resets a connection, also one whose end was asked for a moment ago.
 *
 * `resetAndDestroy()` alone fails there (Node 20 to 24): libuv refuses to reset a socket whose shutdown is under way, Node
 * takes it for closed all the same, and what is left neither closes nor lets the process end: it spins in its last steps.
 */
export function reset(socket: Socket): void {
  const shutsDown = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (shutsDown) socket.once("finish", () => socket.resetAndDestroy());
  else socket.resetAndDestroy();
}
