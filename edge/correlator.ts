/**
 * The Durable Object of one service: it holds the agents' sockets and turns each request into an exchange with one.
 *
 * It never checks tokens (the Worker has), never touches storage, keeps no timer while idle, and forgets everything
 * when it sleeps but what `attachment.ts` says. Which session a socket carries is the kernel's to know (`listener.ts`).
 */
import { DurableObject } from "cloudflare:workers";
import { Budget } from "../codec/budget.ts";
import { type ErrorCode, TunnelError } from "../codec/errors.ts";
import type { Exchange } from "../codec/exchange.ts";
import type { Hello, RequestHead, ResponseHead } from "../codec/frame.ts";
import { EDGE_RETAIN_BYTES, PROTOCOL } from "../codec/limits.ts";
import { Listener } from "../codec/listener.ts";
import { Session } from "../codec/session.ts";
import { type Agent, Agents, isAgentId } from "./agents.ts";
import { attachmentOf } from "./attachment.ts";
import { tokenId } from "./auth.ts";
import { type Env, SOFTWARE } from "./env.ts";
import { graceMsOf } from "./grace.ts";
import { logFault } from "./log.ts";
import { Lookout } from "./lookout.ts";
import { forward, objectOf } from "./object.ts";
import { Pace } from "./pace.ts";
import { platform } from "./platform.ts";
import { Pulse } from "./pulse.ts";
import { codeOf, refusal } from "./refusal.ts";
import { requestHead, sendBody } from "./request.ts";
import { answer, type AnswerWatch, visitorHeaders } from "./response.ts";
import { mayTryAnother } from "./retry.ts";
import { type Route, routeOf } from "./route.ts";
import { PROBE_SHARD } from "./shards.ts";
import { Socket } from "./socket.ts";
import { statusPage } from "./status.ts";
import { Totals } from "./totals.ts";
import { VisitorSocket } from "./visitor-socket.ts";
import { Waiting } from "./waiting.ts";

/** The most agents of one service: each costs a socket and a session, and the least loaded is sought among all. */
const MAX_AGENTS = 64;

/** How many requests wait for an agent that is expected back, and what their heads may take together. */
const WAITING_LIMITS = { most: 1000, mostBytes: 8 * 1024 * 1024 };

/** `WebSocket.readyState` of a socket that both ends still use. */
const OPEN = 1;

export class Correlator extends DurableObject<Env> {
  readonly #sockets = new Map<WebSocket, Socket>();
  /** Sockets whose agents take over from all others. */
  readonly #successors = new Set<Socket>();
  readonly #listener: Listener<Socket>;
  readonly #agents: Agents;
  readonly #graceMs: number;
  /** One for all agents: they share the object's memory. */
  readonly #budget = new Budget();
  readonly #waiting = new Waiting(WAITING_LIMITS);
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
    this.#graceMs = graceMsOf(env);
    this.#listener = new Listener<Socket>({
      platform,
      graceMs: this.#graceMs,
      newSession: (_identity, ended) => this.#newSession(ended),
      greeted: (agent, hello) => this.#greeted(agent, hello),
      left: () => this.#over(),
    });
    this.#agents = new Agents(
      this.#listener,
      this.#graceMs,
      Number(env.AGENTS_EXPECTED_UNTIL ?? 0),
    );
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
          return this.#status(route.service);
        // The Worker answers those itself.
        case "shards":
        case "probe":
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
    const socket = this.#sockets.get(ws);
    if (socket === undefined) return;
    if (typeof message === "string") {
      this.#listener.refuse(socket, new TunnelError("protocol-error", "a text message"));
      return;
    }
    try {
      this.#listener.receive(socket, new Uint8Array(message));
    } catch (error) {
      // The session has ended itself. A throw from here would close nothing and tell nobody.
      logFault("session", error);
    }
  }

  override webSocketClose(ws: WebSocket, code: number, reason: string): void {
    // One that closed while the object slept was given no session.
    const socket = this.#sockets.get(ws) ?? new Socket(ws, 0, true);
    this.#gone(ws, code, reason);
    // The platform completes the handshake of a hibernatable socket only by this. 1005 and 1006 are never sent.
    socket.close(code === 1005 || code === 1006 ? 1000 : code, reason);
  }

  override webSocketError(ws: WebSocket, error: unknown): void {
    this.#gone(ws, 1006, String(error));
  }

  /** Tells all agents to open another connection, and to finish on this one what they have (`self-hosted.ts`). */
  dismiss(): void {
    for (const { session } of this.#listener.members)
      session.drain("draining", "the edge restarts");
  }

  #gone(ws: WebSocket, code: number, reason: string): void {
    const socket = this.#sockets.get(ws);
    if (socket === undefined) return;
    this.#sockets.delete(ws);
    this.#successors.delete(socket);
    this.#listener.lost(socket, code, reason);
  }

  async #send(request: Request, route: Route & { kind: "send" }): Promise<Response> {
    const tried = new Set<Session>();
    let agent = this.#agents.pick(tried);
    const instead = agent === undefined ? this.#instead(route.service) : undefined;
    if (instead !== undefined) return forward(request, instead);
    this.#totals.requests++;
    const head = requestHead(request, route);
    for (;;) {
      agent ??= await this.#expectAgent(request.signal, head);
      tried.add(agent.session);
      try {
        return await this.#exchange(agent, head, request);
      } catch (error) {
        agent = mayTryAnother(error, head) ? this.#agents.pick(tried) : undefined;
        if (agent === undefined) throw error;
      }
    }
  }

  /**
   * The service's first object, when this one is another and has no agent: its agents may not have heard yet that they
   * should dial it too, or that they still should, and the first one has all there are.
   */
  #instead(service: string): DurableObjectStub | undefined {
    if (this.#agents.expectedWithinMs(Date.now()) > 0) return undefined;
    const first = objectOf(service, 0, this.env);
    if (first.id.equals(this.ctx.id)) return undefined;
    // What measures the tunnel is for no origin.
    return objectOf(service, PROBE_SHARD, this.env).id.equals(this.ctx.id) ? undefined : first;
  }

  /** One request and its answer through one agent. */
  async #exchange({ session }: Agent, head: RequestHead, request: Request): Promise<Response> {
    const exchange = session.open(head);
    this.#lookout.begin(exchange, request);
    if (head.length !== "none" && request.body !== null) {
      void sendBody(request.body, exchange, this.#totals).then(() => this.#over());
    }
    try {
      const answered = await exchange.answer();
      if (answered.length === "socket") {
        this.#lookout.joined(exchange);
        return this.#joined(exchange, answered);
      }
      if (head.length === "socket") exchange.outgoing.end();
      return this.#answer(exchange, answered);
    } finally {
      this.#lookout.answered(exchange);
    }
  }

  /** The visitor's WebSocket, which the origin has accepted. */
  #joined(exchange: Exchange, { headers }: ResponseHead): Response {
    const { 0: webSocket, 1: ours } = new WebSocketPair();
    new VisitorSocket(ours, exchange, this.#watch).start();
    return new Response(null, { status: 101, webSocket, headers: visitorHeaders(headers) });
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

  /** An agent, after a wait if one is expected. @throws TunnelError that says why there is none. */
  async #expectAgent(signal: AbortSignal, head: RequestHead): Promise<Agent> {
    const nobody = new Set<Session>();
    const withinMs = this.#agents.expectedWithinMs(Date.now());
    if (withinMs > 0) await this.#waiting.wait(signal, withinMs, sizeOf(head));
    const agent = this.#agents.pick(nobody);
    if (agent !== undefined) return agent;
    throw new TunnelError(this.#agents.draining ? "draining" : "agent-offline");
  }

  /** An agent's upgrade, whose token the Worker has found good. */
  #connect(request: Request): Response {
    const id = request.headers.get("sluice-agent") ?? "";
    if (!isAgentId(id)) throw new TunnelError("bad-request", "sluice-agent");
    const identity = `${id} ${tokenId(request)}`;
    // An agent that comes back over another socket is none more.
    const others = this.#listener.size - (this.#listener.knows(identity) ? 1 : 0);
    if (others >= MAX_AGENTS) throw new TunnelError("too-many-agents");
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [identity]);
    const socket = new Socket(server, Date.now(), false);
    this.#sockets.set(server, socket);
    if (request.headers.get("sluice-replace") === "1") this.#successors.add(socket);
    this.#listener.accept(socket, identity);
    // Whoever runs the agent is told who can reach them.
    const visitors = this.env.VISITORS === "token" ? "token" : "public";
    const headers = { "sec-websocket-protocol": PROTOCOL, "sluice-visitors": visitors };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  /** Gives a socket from before the sleep a session. */
  #revive(ws: WebSocket): void {
    try {
      const kept = attachmentOf(ws);
      const socket = new Socket(ws, kept?.connectedAt ?? Date.now(), kept !== undefined);
      const [identity = ""] = this.ctx.getTags(ws);
      this.#sockets.set(ws, socket);
      if (kept === undefined) this.#listener.accept(socket, identity);
      else this.#listener.revive(socket, identity, kept.peer);
    } catch (error) {
      logFault("attachment", error);
      new Socket(ws, 0, true).close(1001, "the edge was updated");
    }
  }

  #newSession(ended: (error: TunnelError) => void): Session {
    return new Session(platform, {
      // A new name after each sleep too: what the agent still sends to the one before is told from it by that.
      id: crypto.randomUUID(),
      // The agent opens no streams and sends no request bodies.
      introduction: { maxStreams: 0, credit: 0, grace: this.#graceMs, software: SOFTWARE },
      ended: (error) => {
        // Who says goodbye is not expected back.
        if (error.code === "agent-lost" || error.code === "agent-stalled") {
          this.#agents.lost(Date.now());
        }
        ended(error);
      },
      budget: this.#budget,
      retainBytes: EDGE_RETAIN_BYTES,
      random,
    });
  }

  #greeted(agent: Agent, hello: Hello): void {
    const { transport } = agent;
    transport.remember(hello);
    if (this.#successors.delete(transport)) {
      for (const other of this.#listener.members) {
        if (other !== agent) other.session.drain("replaced", "another agent took over");
      }
    }
    this.#waiting.release();
  }

  #status(service: string): Response {
    const budget = this.#budget;
    const totals = this.#totals;
    const agents = this.#listener.members;
    return statusPage({ service, agents, waiting: this.#waiting.size, budget, totals });
  }

  #beat(): boolean {
    this.#listener.tick();
    return this.#agents.streams > 0;
  }

  /** A request is answered, refused or cut, or its upload is over. */
  #over(cut?: ErrorCode): void {
    if (cut !== undefined) this.#totals.failed(cut);
    if (this.#agents.streams > 0) return;
    this.#lookout.stop();
    this.#pulse.stop();
    for (const agent of this.#listener.members) {
      if (agent.session.exhausted) this.#listener.renew(agent);
    }
  }
}

/** What a head takes while it waits: its strings, at two bytes a character. */
function sizeOf({ path, headers }: RequestHead): number {
  let chars = path.length;
  for (const text of headers) chars += text.length;
  return 2 * chars;
}

/** See `SessionOptions.random`. */
function random(): number {
  const [value = 0] = crypto.getRandomValues(new Uint32Array(1));
  return 2 ** 30 + (value >>> 2);
}
