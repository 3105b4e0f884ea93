/**
 * The page at /status/<service>: what the object holds at this moment, for the holder of an agent token.
 */
import { PROTOCOL } from "../codec/limits.ts";
import type { Agents } from "./agents.ts";
import { SOFTWARE } from "./env.ts";
import type { Totals } from "./totals.ts";

/** JSON: the agents and their sessions, the memory promised to them for bodies, the totals since the object woke, the versions of both ends. */
export function statusPage(
  service: string,
  agents: Agents,
  totals: Totals,
  promisedBytes: number,
): Response {
  const rows = Array.from(agents, ({ id, sessionId, session, connectedAt }) => ({
    agent: id,
    session: sessionId,
    software: session.peer?.software ?? null,
    ready: session.ready,
    streams: session.streams,
    bufferedBytes: session.bufferedBytes,
    rttMs: session.rttMs ?? null,
    connectedAt,
  }));
  const versions = { edge: SOFTWARE, protocol: PROTOCOL };
  const page = { service, agents: rows, promisedBytes, totals, versions };
  return Response.json(page, { headers: { "cache-control": "no-store" } });
}
