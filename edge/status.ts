/**
 * The page at /status/<service>: what the object holds at this moment, for the holder of an agent token.
 */
import { PROTOCOL } from "../codec/limits.ts";
import type { Agents } from "./agents.ts";
import { SOFTWARE } from "./env.ts";
import type { Totals } from "./totals.ts";

/** JSON: the agents and their sessions, the totals since the object woke, the versions of both ends. */
export function statusPage(service: string, agents: Agents, totals: Totals): Response {
  const rows = Array.from(agents, ({ id, sessionId, session, connectedAt }) => ({
    agent: id,
    session: sessionId,
    software: session.peer?.software ?? null,
    ready: session.ready,
    streams: session.streams,
    bufferedBytes: session.bufferedBytes,
    promisedBytes: session.promisedBytes,
    rttMs: session.rttMs ?? null,
    connectedAt,
  }));
  const page = { service, agents: rows, totals, versions: { edge: SOFTWARE, protocol: PROTOCOL } };
  return Response.json(page, { headers: { "cache-control": "no-store" } });
}
