/** Two sessions joined without a socket: the edge's end, and the agent's. */
import type { Exchange } from "../../../codec/exchange.ts";
import type { RequestHead } from "../../../codec/frame.ts";
import { MAX_STREAMS, REQUEST_CREDIT_BYTES } from "../../../codec/limits.ts";
import { Session, type Transport } from "../../../codec/session.ts";

export interface Opened {
  readonly edge: Session;
  readonly agent: Session;
  /** The edge's end of the exchange. */
  readonly here: Exchange;
  /** The agent's end. */
  readonly there: Exchange;
}

/** Opens one exchange between two sessions. */
export async function open(head: Partial<RequestHead> = {}): Promise<Opened> {
  const arrived = Promise.withResolvers<Exchange>();
  const greeted = Promise.withResolvers<unknown>();
  const edge = new Session(new Line(() => agent), {
    hello: { session: "s", maxStreams: 0, credit: 0, software: "edge" },
    greeted: greeted.resolve,
  });
  const agent = new Session(new Line(() => edge), {
    hello: {
      session: "",
      maxStreams: MAX_STREAMS,
      credit: REQUEST_CREDIT_BYTES,
      software: "agent",
    },
    accept: arrived.resolve,
  });
  agent.greet();
  await greeted.promise;
  const here = edge.open({ method: "GET", path: "/", headers: [], length: "none", ...head });
  return { edge, agent, here, there: await arrived.promise };
}

/** One direction: what is sent arrives a microtask later. */
class Line implements Transport {
  readonly full = false;
  readonly #peer: () => Session;

  constructor(peer: () => Session) {
    this.#peer = peer;
  }

  send(message: Uint8Array): void {
    queueMicrotask(() => this.#peer().receive(message));
  }

  close(): void {
    queueMicrotask(() => this.#peer().lost());
  }

  schedule(flush: () => void): void {
    queueMicrotask(flush);
  }

  now(): number {
    return performance.now();
  }

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }
}
