/** Two sessions joined without a socket: the edge's end, and the agent's. */
import type { Exchange } from "../../../codec/exchange.ts";
import type { RequestHead } from "../../../codec/frame.ts";
import type { Session } from "../../../codec/session.ts";
import { join } from "../../support/joined.ts";

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
  const { edge, agent } = await join(arrived.resolve, queueMicrotask);
  const here = edge.open({ method: "GET", path: "/", headers: [], length: "none", ...head });
  return { edge, agent, here, there: await arrived.promise };
}
