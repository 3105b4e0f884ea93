/**
 * The agents of one service: which of them gets the next request, and whether one is expected.
 *
 * It knows sessions but moves no byte.
 */
import type { Listener, Member } from "../codec/listener.ts";
import type { Session } from "../codec/session.ts";
import type { Socket } from "./socket.ts";

export type Agent = Member<Socket>;

/** An agent's random id: 128 bits in base64url have 22 characters, in hexadecimal 32. */
const agentId = /^[A-Za-z0-9_-]{16,64}$/;

/** Whether `id` may be the `sluice-agent` field of an upgrade. */
export function isAgentId(id: string): boolean {
  return agentId.test(id);
}

/** The agent's id in its identity, which also names its token. */
export function agentIdOf(identity: string): string {
  return identity.split(" ", 1)[0] ?? "";
}

export class Agents {
  readonly #listener: Listener<Socket>;
  readonly #graceMs: number;
  #expectedUntil: number;
  /** This edge ends: its agents dial the next one. */
  #dismissed = false;

  /**
   * `graceMs`: an agent that was lost so recently is expected back. `expectedUntil`: until when the agents of an edge that
   * this one has replaced are, in milliseconds since 1970.
   */
  constructor(listener: Listener<Socket>, graceMs: number, expectedUntil = 0) {
    this.#listener = listener;
    this.#graceMs = graceMs;
    this.#expectedUntil = expectedUntil;
  }

  /** Open streams of all agents. */
  get streams(): number {
    let streams = 0;
    for (const { session } of this.#listener.members) streams += session.streams;
    return streams;
  }

  /** An agent is gone, and did not say that it would. */
  lost(nowMs: number): void {
    this.#expectedUntil = nowMs + this.#graceMs;
  }

  /** None comes back from now on. */
  dismiss(): void {
    this.#dismissed = true;
    for (const { session } of this.#listener.members)
      session.drain("draining", "the edge restarts");
  }

  /**
   * The least loaded agent that is not in `except`: that with the fewest open streams, among equals that with the least
   * unacknowledged, then the one that greeted last, which is surely alive. One that owes a sign of life only when there
   * is no other.
   */
  pick(except: ReadonlySet<Session>): Agent | undefined {
    let best: Agent | undefined;
    let suspect: Agent | undefined;
    for (const agent of this.#listener.members) {
      const { session } = agent;
      if (!session.ready || agent.eclipsed || except.has(session)) continue;
      if (session.suspect) suspect = agent;
      else if (best === undefined || isLessLoaded(session, best.session)) best = agent;
    }
    return best ?? suspect;
  }

  /** Until when one may be ready, in milliseconds from now: 0 when none is expected. */
  expectedWithinMs(nowMs: number): number {
    if (this.#dismissed) return 0;
    if (this.#listener.expecting) return this.#graceMs;
    return Math.max(0, this.#expectedUntil - nowMs);
  }

  /** Whether an agent is here that takes no new streams, or all have been sent away. */
  get draining(): boolean {
    if (this.#dismissed) return true;
    for (const { session } of this.#listener.members) {
      if (session.transport !== undefined && !session.ready) return true;
    }
    return false;
  }
}

/** Whether the later of two agents takes the next request. */
function isLessLoaded(later: Session, earlier: Session): boolean {
  if (later.streams !== earlier.streams) return later.streams < earlier.streams;
  return later.retainedBytes <= earlier.retainedBytes;
}
