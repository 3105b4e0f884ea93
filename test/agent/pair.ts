/**
 * Two sessions joined in memory: what the edge opens on one, an agent's code serves on the other.
 */
import type { Exchange } from "../../codec/exchange.ts";
import type { RequestHead } from "../../codec/frame.ts";
import type { Session } from "../../codec/session.ts";
import { join } from "../support/joined.ts";

/** The edge's end of a tunnel whose agent is `accept`. */
export class Pair {
  readonly edge: Session;
  readonly agent: Session;

  private constructor(edge: Session, agent: Session) {
    this.edge = edge;
    this.agent = agent;
  }

  static async join(accept: (exchange: Exchange) => void): Promise<Pair> {
    const { edge, agent } = await join(accept, setImmediate);
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
