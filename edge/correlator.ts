/**
 * The Durable Object of one service: it holds the agents' sockets and turns each request into an exchange with one.
 *
 * It never checks tokens (the Worker has), never touches storage, keeps no timer while idle, and forgets everything
 * when it sleeps but what `attachment.ts` says.
 */
import { DurableObject } from "cloudflare:workers";
import { Budget } from "../codec/budget.ts";
import { type ErrorCode, errorCodeOf, errors, TunnelError } from "../codec/errors.ts";
import type { Exchange } from "../codec/exchange.ts";
import type { ResponseHead } from "../codec/frame.ts";
import { PROTOCOL } from "../codec/limits.ts";
import { Session } from "../codec/session.ts";
import { type Agent, Agents, isAgentId } from "./agents.ts";
import { type Attachment, attach, attachmentOf } from "./attachment.ts";
import { tokenId } from "./auth.ts";
import { type Env, SOFTWARE } from "./env.ts";
import { logFault } from "./log.ts";
import { Lookout } from "./lookout.ts";
import { Pace } from "./pace.ts";
import { Pulse } from "./pulse.ts";
import { codeOf, refusal } from "./refusal.ts";
import { requestHead, sendBody } from "./request.ts";
import { answer, type AnswerWatch } from "./response.ts";
import { type Route, routeOf } from "./route.ts";
import { Socket } from "./socket.ts";
import { statusPage } from "./status.ts";
import { Totals } from "./totals.ts";
import { Waiting } from "./waiting.ts";

/** The most agents of one service: each costs a socket and a session, and the least loaded is sought among all. */
const MAX_AGENTS = 64;

/** How long and how many requests wait for an agent that is expected back. */
const MAX_WAIT_MS = 5_000;
const MAX_WAITING = 1_000;

/** `WebSocket.readyState` of a socket that both ends still use. */
const OPEN = 1;

export class Correlator extends DurableObject<Env> {
  readonly #agents = new Agents();
  /** One for all agents: they share the object's memory. */
  readonly #budget = new Budget();
  readonly #waiting = new Waiting(MAX_WAIT_MS, MAX_WAITING);
  readonly #totals = new Totals();
  readonly #pulse = new Pulse(() => this.#beat());
  readonly #lookout = new Lookout(() => {
    if (this.#agents.streams > 0) this.#pulse.start();
  });
  readonly #watch: AnswerWatch = {
    totals: this.#totals,
    pace: new Pace(),
    over: (cut) => this.#over(cut),
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    // After hibernation the sockets are still there, and sessions begin anew on them.
    for (const ws of ctx.getWebSockets()) if (ws.readyState === OPEN) this.#revive(ws);
  }

  override async fetch(request: Request): Promise<Response> {
    try {
      const route = routeOf(request.url, this.env.TUNNEL_DOMAIN);
      switch (route?.kind) {
        case "send":
          return await this.#send(request, route);
        case "websocket":
          return this.#connect(request);
        case "status":
          return statusPage(route.service, this.#agents, this.#totals, this.#budget.usedBytes);
        case undefined:
          return refusal("no-route", request);
      }
    } catch (error) {
      const code = codeOf(error, "correlator");
      this.#over(code);
      return refusal(code, request);
    }
  }

  override webSocketMessage(ws: WebSocket, message: ArrayBuffer | string): void {
    const session = this.#agents.of(ws)?.session;
    if (session === undefined) return; // It has ended: what still arrives concerns nobody.
    if (typeof message === "string") {
      session.end("protocol-error", "a text message");
      return;
    }
    try {
      session.receive(new Uint8Array(message));
    } catch (error) {
      // The session has ended itself. A throw from here would close nothing and tell nobody.
      logFault("session", error);
    }
  }

  override webSocketClose(ws: WebSocket, code: number, reason: string): void {
    this.#agents.of(ws)?.session.lost(codeOfClose(code), reason);
    // The platform completes the handshake of a hibernatable socket only by this. 1005 and 1006 are never sent.
    new Socket(ws).close(code === 1005 || code === 1006 ? 1000 : code, reason);
  }

  override webSocketError(ws: WebSocket, error: unknown): void {
    this.#agents.of(ws)?.session.lost("agent-lost", String(error));
  }

  async #send(request: Request, route: Route & { kind: "send" }): Promise<Response> {
    this.#totals.requests++;
    const head = requestHead(request, route);
    const agent = this.#agents.pick() ?? (await this.#expectAgent(request.signal));
    const exchange = agent.session.open(head);
    this.#lookout.begin(exchange, request);
    if (head.length !== "none" && request.body !== null) {
      void sendBody(request.body, exchange, this.#totals).then(() => this.#over());
    }
    try {
      return this.#answer(exchange, await exchange.answer());
    } finally {
      this.#lookout.answered(exchange);
    }
  }

  #answer(exchange: Exchange, head: ResponseHead): Response {
    try {
      return answer(exchange, head, this.#watch);
    } catch (error) {
      // The platform will not say it: a field or a reason phrase that the Response refuses.
      exchange.cancel("origin-invalid", String(error));
      throw new TunnelError("origin-invalid", String(error));
    }
  }

  /** An agent, after a short wait if one is expected. @throws TunnelError that says why there is none. */
  async #expectAgent(signal: AbortSignal): Promise<Agent> {
    if (this.#agents.expectsOne(Date.now())) await this.#waiting.wait(signal);
    const agent = this.#agents.pick();
    if (agent !== undefined) return agent;
    for (const { session } of this.#agents) {
      if (session.peer !== undefined) throw new TunnelError("draining");
    }
    throw new TunnelError("agent-offline");
  }

  /** An agent's upgrade, whose token the Worker has found good. */
  #connect(request: Request): Response {
    const id = request.headers.get("sluice-agent") ?? "";
    if (!isAgentId(id)) throw new TunnelError("bad-request", "sluice-agent");
    const identity = `${id} ${tokenId(request)}`;
    for (const agent of this.#agents) {
      if (agent.identity === identity) agent.session.end("replaced");
    }
    if (this.#agents.size >= MAX_AGENTS) throw new TunnelError("too-many-agents");
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [identity]);
    this.#adopt(server, identity, undefined);
    const headers = { "sec-websocket-protocol": PROTOCOL };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  /** Gives a socket from before the sleep its session back. */
  #revive(ws: WebSocket): void {
    try {
      this.#adopt(ws, this.ctx.getTags(ws)[0] ?? "", attachmentOf(ws));
    } catch (error) {
      logFault("attachment", error);
      new Socket(ws).close(1001, "the edge was updated");
    }
  }

  #adopt(ws: WebSocket, identity: string, kept: Attachment | undefined): void {
    // A new name after each sleep too: what the agent still sends to the one before is told from it by that.
    const sessionId = crypto.randomUUID();
    const connectedAt = kept?.connectedAt ?? Date.now();
    let attached = kept !== undefined;
    const session = new Session(new Socket(ws), {
      // The agent opens no streams and sends no request bodies.
      hello: { session: sessionId, maxStreams: 0, credit: 0, software: SOFTWARE },
      greeted: (peer) => {
        if (!attached) attach(ws, { connectedAt, peer });
        attached = true;
        this.#waiting.release();
      },
      ended: () => this.#agents.remove(ws, Date.now()),
      budget: this.#budget,
      random,
    });
    if (kept !== undefined) session.resumeGreeted(kept.peer);
    const [id = ""] = identity.split(" ", 1);
    this.#agents.add(ws, { identity, id, session, sessionId, connectedAt });
  }

  #beat(): boolean {
    for (const { session } of this.#agents) session.tick();
    return this.#agents.streams > 0;
  }

  /** A request is answered, refused or cut, or its upload is over. */
  #over(cut?: ErrorCode): void {
    if (cut !== undefined) this.#totals.failed(cut);
    if (this.#agents.streams > 0) return;
    this.#lookout.stop();
    this.#pulse.stop();
  }
}

/** See `SessionOptions.random`. */
function random(): number {
  const [value = 0] = crypto.getRandomValues(new Uint32Array(1));
  return 2 ** 30 + (value >>> 2);
}

/** What an agent's close code means for its exchanges: a reason of the table, else a connection that broke. */
function codeOfClose(code: number): ErrorCode {
  const said = errorCodeOf(code - 4000);
  return said !== undefined && errors[said].ends === "session" ? said : "agent-lost";
}
