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

/**
 * JSON: the agents and their sessions, what is under way, waits and is held, the totals since the object woke, the
 * versions of both ends. `docs/status-and-metrics.md` says what each member means.
 */
export function statusPage({ service, agents, waiting, budget, totals }: Shown): Response {
  const rows = Array.from(agents, rowOf);
  const page = {
    service,
    agents: rows,
    streams: sum(rows, "streams"),
    waiting,
    bufferedBytes: sum(rows, "bufferedBytes"),
    retainedBytes: budget.retainedBytes,
    promisedBytes: budget.usedBytes,
    totals,
    versions: { edge: SOFTWARE, protocol: PROTOCOL },
  };
  return Response.json(page, { headers: { "cache-control": "no-store" } });
}

interface Row {
  readonly streams: number;
  readonly bufferedBytes: number;
}

function rowOf({ identity, session, transport, eclipsed }: Agent): Row {
  const [agent, token] = identity.split(" ");
  const connected = session.transport !== undefined;
  const ready = session.ready && !eclipsed;
  const row = {
    agent,
    token,
    secret: transport.secret,
    session: session.id,
    software: session.peer?.software ?? null,
    connectedAt: transport.connectedAt,
    connected,
    ready,
    draining: connected && !ready,
    silent: session.suspect,
    rttMs: session.rttMs ?? null,
    streams: session.streams,
    bufferedBytes: session.bufferedBytes,
    retainedBytes: session.retainedBytes,
  };
  return row;
}

function sum(rows: readonly Row[], member: keyof Row): number {
  return rows.reduce((total, row) => total + row[member], 0);
}
