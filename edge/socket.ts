/**
 * A hibernatable WebSocket as what a session needs of one.
 *
 * It never reports back-pressure: workerd has no event for a drained socket and queues without bound. Credit is what
 * keeps that queue small: an upload waits for the agent, and everything else the edge sends is a head or a few bytes.
 */
import type { Transport } from "../codec/session.ts";

const settled = Promise.resolve();

export class Socket implements Transport {
  readonly full = false;
  readonly #ws: WebSocket;

  constructor(ws: WebSocket) {
    this.#ws = ws;
  }

  send(message: Uint8Array): void {
    try {
      this.#ws.send(message);
    } catch {
      // After our own close() the platform's send() throws; after the peer's loss it drops silently. We drop in both cases.
    }
  }

  close(code: number, reason: string): void {
    try {
      this.#ws.close(code, reason);
    } catch {
      // It is closed already, by either end: that is all we wanted.
    }
  }

  schedule(flush: () => void): void {
    // The same as queueMicrotask(), which would be a call into the runtime and a function wrapped for it.
    void settled.then(flush);
  }

  now(): number {
    return performance.now();
  }

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }
}
