/**
 * What holds at every moment, and what holds when nothing is under way.
 */
import type { Budget } from "../../codec/budget.ts";
import { AGENT_RETAIN_BYTES, LEAST_RETAINED_BYTES, MAX_MESSAGE_BYTES } from "../../codec/limits.ts";
import type { Session } from "../../codec/session.ts";
import type { Setting } from "./setting.ts";

/** What goes over the bound: the message that reached it, and a question for an ACK. */
const OVER_BYTES = MAX_MESSAGE_BYTES + 1024;

/** After each event. */
export function checkAlways({
  world,
  edge,
  agents,
  edgeRetainBytes,
  agentRetainBytes,
}: Setting): void {
  const sessions: Session[] = [];
  for (const { session } of edge.members) sessions.push(session);
  const wrong =
    faultOf(edge.budget, sessions, edgeRetainBytes) ??
    agents
      .filter((agent) => !agent.gone)
      .map(({ budget, dialer }) =>
        faultOf(
          budget,
          dialer.session === undefined ? [] : [dialer.session],
          agentRetainBytes ?? AGENT_RETAIN_BYTES,
        ),
      )
      .find((fault) => fault !== undefined);
  if (wrong !== undefined) world.violate(wrong);
}

function faultOf(
  budget: Budget,
  sessions: readonly Session[],
  retainBytes: number,
): string | undefined {
  const { usedBytes, retainedBytes, totalBytes } = budget;
  let retained = 0;
  for (const session of sessions) {
    retained += session.retainedBytes;
    if (session.retainedBytes > retainBytes + OVER_BYTES) {
      return `${session.retainedBytes} bytes are retained, of at most ${retainBytes}`;
    }
  }
  if (retained !== retainedBytes) {
    return `${retained} bytes are retained, and ${retainedBytes} counted`;
  }
  if (usedBytes > totalBytes) return `${usedBytes} of ${totalBytes} bytes are promised`;
  const most = totalBytes + sessions.length * (LEAST_RETAINED_BYTES + OVER_BYTES);
  if (usedBytes + retainedBytes > most)
    return `${usedBytes + retainedBytes} bytes are in use, of ${most}`;
  return undefined;
}

/** When nothing is under way and all graces are over. */
export function checkIdle({ world, edge, agents }: Setting): void {
  for (const { session, identity } of edge.members) {
    const { id, streams, transport } = session;
    if (streams === 0) continue;
    const where = transport === undefined ? "no socket" : "a socket";
    world.violate(
      `${streams} streams are left at the edge in ${id} of ${identity}, which has ${where}`,
    );
  }
  if (edge.timers > 0) world.violate(`${edge.timers} timers are left at the edge`);
  if (edge.budget.usedBytes > 0)
    world.violate(`${edge.budget.usedBytes} bytes stay promised at the edge`);
  for (const { gone, name, dialer, platform, budget } of agents) {
    if (gone) continue;
    if (dialer.streams > 0) world.violate(`${dialer.streams} streams are left at ${name}`);
    if (platform.timers > 0) world.violate(`${platform.timers} timers are left at ${name}`);
    if (budget.usedBytes > 0) world.violate(`${budget.usedBytes} bytes stay promised at ${name}`);
  }
}
