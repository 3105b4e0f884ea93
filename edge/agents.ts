/**
 * The agents of one service: who is connected, which of them gets the next request, who is the same agent again.
 *
 * It knows sessions but moves no byte.
 */
import type { Session } from "../codec/session.ts";

/** One agent's connection. */
export interface Agent {
  /** The agent process and its token: a second connection with the same identity takes the first one's place. */
  readonly identity: string;
  readonly id: string;
  readonly session: Session;
  /** The id this end gave the session. */
  readonly sessionId: string;
  /** Milliseconds since 1970. */
  readonly connectedAt: number;
}

/** An agent's random id: 128 bits in base64url have 22 characters, in hexadecimal 32. */
const agentId = /^[A-Za-z0-9_-]{16,64}$/;

/** Whether `id` may be the `sluice-agent` field of an upgrade. */
export function isAgentId(id: string): boolean {
  return agentId.test(id);
}

/** An agent that was here this recently is expected back. Its re-dial takes one or two seconds. */
const EXPECTED_BACK_MS = 5_000;

export class Agents {
  /** In order of connection. */
  readonly #agents = new Map<WebSocket, Agent>();
  #lostAt = Number.NEGATIVE_INFINITY;

  get size(): number {
    return this.#agents.size;
  }

  /** Open streams of all agents. */
  get streams(): number {
    let streams = 0;
    for (const agent of this.#agents.values()) streams += agent.session.streams;
    return streams;
  }

  [Symbol.iterator](): IterableIterator<Agent> {
    return this.#agents.values();
  }

  add(ws: WebSocket, agent: Agent): void {
    this.#agents.set(ws, agent);
  }

  of(ws: WebSocket): Agent | undefined {
    return this.#agents.get(ws);
  }

  remove(ws: WebSocket, nowMs: number): void {
    if (this.#agents.delete(ws)) this.#lostAt = nowMs;
  }

  /** The ready agent with the fewest open streams; among equals the one that connected last, which is surely alive. */
  pick(): Agent | undefined {
    let best: Agent | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const agent of this.#agents.values()) {
      const { session } = agent;
      if (!session.ready || session.streams > fewest) continue;
      best = agent;
      fewest = session.streams;
    }
    return best;
  }

  /** Whether one may be ready in a moment: it is greeting, or one was here a few seconds ago. */
  expectsOne(nowMs: number): boolean {
    if (nowMs - this.#lostAt < EXPECTED_BACK_MS) return true;
    for (const { session } of this.#agents.values()) if (session.peer === undefined) return true;
    return false;
  }
}
