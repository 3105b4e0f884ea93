/**
 * A hibernatable WebSocket as what a session needs of one.
 *
 * It never reports back-pressure: workerd has no event for a drained socket and queues without bound. Credit is what
 * keeps that queue small: an upload waits for the agent, and everything else the edge sends is a head or a few bytes.
 */
import type { Hello } from "../codec/frame.ts";
import type { Transport } from "../codec/transport.ts";
import { attach } from "./attachment.ts";
import type { Secret } from "./auth.ts";

export class Socket implements Transport {
  readonly full = false;
  /** Milliseconds since 1970. */
  readonly connectedAt: number;
  /** Which secret signed the agent's token. */
  readonly secret: Secret;
  readonly #ws: WebSocket;
  #remembered: boolean;
  #closed = false;

  /** `remembered`: the socket has kept through a sleep what `remember()` was given. */
  constructor(ws: WebSocket, connectedAt: number, secret: Secret, remembered: boolean) {
    this.#ws = ws;
    this.connectedAt = connectedAt;
    this.secret = secret;
    this.#remembered = remembered;
  }

  /**
   * Keeps what the agent's HELLO said for the time after a sleep; only the first time, because writing costs.
   * @returns whether it was the first time
   */
  remember(peer: Hello): boolean {
    if (this.#remembered) return false;
    attach(this.#ws, { connectedAt: this.connectedAt, secret: this.secret, peer });
    this.#remembered = true;
    return true;
  }

  send(message: Uint8Array): void {
    try {
      this.#ws.send(message);
    } catch {
      // After our own close() the platform's send() throws; after the peer's loss it drops silently. We drop in both cases.
    }
  }

  /** We have closed it: what still arrives concerns nobody. */
  get closed(): boolean {
    return this.#closed;
  }

  close(code: number, reason: string): void {
    this.#closed = true;
    try {
      this.#ws.close(code, reason);
    } catch {
      // It is closed already, by either end: that is all we wanted.
    }
  }
}
