/**
 * The page at /status/<service>: what the object holds at this moment, for the holder of an agent token.
 */
import type { Budget } from "../codec/budget.ts";
import { PROTOCOL } from "../codec/limits.ts";
import type { Agent } from "./agents.ts";
import { SOFTWARE } from "./env.ts";
import type { Totals } from "./totals.ts";

/** What the page tells of. */
export interface Shown {
  readonly service: string;
  readonly agents: Iterable<Agent>;
  readonly waiting: number;
  readonly budget: Budget;
  readonly totals: Totals;
}

/** JSON: the agents and their sessions, what waits and is held, the totals since the object woke, the versions of both ends. */
export function statusPage({ service, agents, waiting, budget, totals }: Shown): Response {
  const rows = Array.from(agents, ({ identity, session, transport }) => ({
    agent: identity.split(" ", 1)[0],
    session: session.id,
    software: session.peer?.software ?? null,
    connected: session.transport !== undefined,
    ready: session.ready,
    streams: session.streams,
    bufferedBytes: session.bufferedBytes,
    retainedBytes: session.retainedBytes,
    rttMs: session.rttMs ?? null,
    connectedAt: transport.connectedAt,
  }));
  const versions = { edge: SOFTWARE, protocol: PROTOCOL };
  const { usedBytes: promisedBytes, retainedBytes } = budget;
  const page = { service, agents: rows, waiting, promisedBytes, retainedBytes, totals, versions };
  return Response.json(page, { headers: { "cache-control": "no-store" } });
}
