/**
 * Two sessions joined in memory: what the edge opens on one, an agent's code serves on the other.
 *
 * Messages go through a queue that is delivered in turn, as sockets do it; nothing is delivered inside `send()`.
 */
import type { Exchange } from "../../codec/exchange.ts";
import type { RequestHead } from "../../codec/frame.ts";
import { MAX_STREAMS, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import { Session, type Transport } from "../../codec/session.ts";

class Wire implements Transport {
  readonly full = false;
  closed: { readonly code: number; readonly reason: string } | undefined;
  #peer: (() => Session) | undefined;

  joined(peer: () => Session): void {
    this.#peer = peer;
  }

  send(message: Uint8Array): void {
    setImmediate(() => this.#peer?.().receive(message));
  }

  close(code: number, reason: string): void {
    this.closed ??= { code, reason };
  }

  schedule(flush: () => void): void {
    setImmediate(flush);
  }

  now(): number {
    return performance.now();
  }

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }
}

/** The edge's end of a tunnel whose agent is `accept`. */
export class Pair {
  readonly edge: Session;
  readonly agent: Session;

  private constructor(edge: Session, agent: Session) {
    this.edge = edge;
    this.agent = agent;
  }

  static async join(accept: (exchange: Exchange) => void): Promise<Pair> {
    const [toAgent, toEdge] = [new Wire(), new Wire()];
    const { promise, resolve } = Promise.withResolvers<void>();
    const edge = new Session(toAgent, {
      hello: { session: "test", maxStreams: 0, credit: 0, software: "test-edge" },
      greeted: () => resolve(),
    });
    const agent = new Session(toEdge, {
      hello: {
        session: "",
        maxStreams: MAX_STREAMS,
        credit: REQUEST_CREDIT_BYTES,
        software: "test-agent",
      },
      accept,
    });
    toAgent.joined(() => agent);
    toEdge.joined(() => edge);
    agent.greet();
    await promise;
    return new Pair(edge, agent);
  }

  /** Opens an exchange as the edge does for a visitor. A body of known size is written at once. */
  ask(head: Partial<RequestHead> & { readonly body?: string } = {}): Exchange {
    const { body, ...given } = head;
    const length = body === undefined ? "none" : Buffer.byteLength(body);
    const exchange = this.edge.open({ method: "GET", path: "/", headers: [], length, ...given });
    if (body !== undefined) {
      exchange.outgoing.write(Buffer.from(body));
      exchange.outgoing.end();
    }
    return exchange;
  }
}

/** All of an answer's body. */
export async function readAll(exchange: Exchange): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of exchange.incoming) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks).toString();
}
