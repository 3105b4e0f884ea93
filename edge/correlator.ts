/**
 * The Durable Object of one service: it holds the agents' sockets and turns each request into an exchange with one.
 *
 * It never checks tokens (the Worker has), never touches storage, keeps no timer while idle, and forgets everything
 * when it sleeps but what `attachment.ts` says. Which session a socket carries is the kernel's to know (`listener.ts`).
 */
import { DurableObject } from "cloudflare:workers";
import { Budget } from "../codec/budget.ts";
import { endOf, type ErrorCode, TunnelError } from "../codec/errors.ts";
import type { Exchange } from "../codec/exchange.ts";
import type { Hello, RequestHead } from "../codec/frame.ts";
import { EDGE_RETAIN_BYTES, GRACE_MS, PROTOCOL } from "../codec/limits.ts";
import { Listener } from "../codec/listener.ts";
import { Session } from "../codec/session.ts";
import { type Agent, Agents, agentIdOf, isAgentId } from "./agents.ts";
import { attachmentOf } from "./attachment.ts";
import { SECRET, tokenId } from "./auth.ts";
import { type Env, SOFTWARE } from "./env.ts";
import { graceMsOf } from "./grace.ts";
import { type About, type AgentLine, logAgent, logFault } from "./log.ts";
import { Lookout } from "./lookout.ts";
import { forward, objectOf } from "./object.ts";
import { Pace } from "./pace.ts";
import { platform, unpredictable } from "./platform.ts";
import { Pulse } from "./pulse.ts";
import { codeOf, refusal } from "./refusal.ts";
import { requestHead, sendBody, type VisitorHead } from "./request.ts";
import { unsentId } from "./request-id.ts";
import { addVisitorFields, answer, type AnswerWatch, type OwnFields } from "./response.ts";
import { mayTryAnother } from "./retry.ts";
import { type Route, routeOf } from "./route.ts";
import { aboutObject, PROBE_SHARD } from "./shards.ts";
import { Socket } from "./socket.ts";
import { statusPage } from "./status.ts";
import { Totals } from "./totals.ts";
import { Visit } from "./visit.ts";
import { SocketMemory } from "./socket-memory.ts";
import { joinVisitor } from "./visitor-socket.ts";
import { headBytes, Waiting } from "./waiting.ts";

/** The most agents of one service: each costs a socket and a session, and the least loaded is sought among all. */
const MAX_AGENTS = 64;

/** How many requests wait for an agent that is expected back, and what their heads may take together. */
const WAITING_LIMITS = { most: 1000, mostBytes: 8 * 1024 * 1024 };

/** `WebSocket.readyState` of a socket that both ends still use. */
const OPEN = 1;

export class Correlator extends DurableObject<Env> {
  readonly #about: About = aboutObject(this.ctx.id.name);
  readonly #sockets = new Map<WebSocket, Socket>();
  /** Sockets that this object has seen open, or gone. */
  readonly #met = new WeakSet<WebSocket>();
  /** Sockets whose agents take over from all others. */
  readonly #successors = new Set<Socket>();
  readonly #listener: Listener<Socket>;
  readonly #agents: Agents;
  #graceMs = GRACE_MS;
  /** What is wrong with the operator's variables: no request is served then. */
  #misconfigured: unknown;
  /** One for all agents: they share the object's memory. */
  readonly #budget = new Budget();
  readonly #waiting = new Waiting(WAITING_LIMITS);
  readonly #totals = new Totals();
  readonly #socketMemory = new SocketMemory();
  readonly #pulse = new Pulse(() => this.#beat());
  readonly #lookout = new Lookout(() => {
    if (this.#agents.streams > 0) this.#pulse.start();
  });
  readonly #watch: AnswerWatch = {
    about: this.#about,
    tally: this.#totals,
    pace: new Pace(),
    over: (cut) => this.#over(cut),
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    try {
      this.#graceMs = graceMsOf(env);
    } catch (error) {
      // A constructor that throws would be a lost object to the Worker, and its reason in nobody's sight.
      this.#misconfigured = error;
    }
    this.#listener = new Listener<Socket>({
      platform,
      graceMs: this.#graceMs,
      newSession: (identity, ended) => this.#newSession(identity, ended),
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
      if (this.#misconfigured !== undefined) throw this.#misconfigured;
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
          throw new TunnelError("no-route");
      }
    } catch (error) {
      const id = unsentId(request);
      const code = codeOf(error, "correlator", { ...this.#about, request: id });
      this.#over(code);
      return refusal(code, request, id);
    }
  }

  override webSocketMessage(ws: WebSocket, message: ArrayBuffer | string): void {
    const socket = this.#sockets.get(ws);
    if (socket === undefined || socket.closed) {
      // Freed at once: an agent that sends on after its end fills the object with what V8 is in no hurry to collect.
      if (typeof message !== "string") message.transfer(0);
      return;
    }
    if (typeof message === "string") {
      this.#listener.refuse(socket, new TunnelError("protocol-error", "a text message"));
      return;
    }
    try {
      this.#listener.receive(socket, new Uint8Array(message));
    } catch (error) {
      // The session has ended itself. A throw from here would close nothing and tell nobody.
      logFault("session", error, this.#about);
    }
  }

  override webSocketClose(ws: WebSocket, code: number, reason: string): void {
    // One that closed while the object slept was given no session.
    const socket = this.#sockets.get(ws) ?? new Socket(ws, 0, "current", true);
    this.#gone(ws, code, reason);
    // The platform completes the handshake of a hibernatable socket only by this. 1005 and 1006 are never sent.
    socket.close(code === 1005 || code === 1006 ? 1000 : code, reason);
  }

  override webSocketError(ws: WebSocket, error: unknown): void {
    this.#gone(ws, 1006, String(error));
  }

  /** Tells all agents to open another connection, and to finish on this one what they have (`self-hosted.ts`). */
  dismiss(): void {
    this.#agents.dismiss();
    // Whoever waits for one waits in vain.
    this.#waiting.release();
  }

  #gone(ws: WebSocket, code: number, reason: string): void {
    const socket = this.#sockets.get(ws);
    if (!this.#met.has(ws)) this.#goneAsleep(ws, code, reason);
    if (socket === undefined) return;
    this.#sockets.delete(ws);
    this.#successors.delete(socket);
    this.#listener.lost(socket, code, reason);
    for (const { identity, session, transport } of this.#listener.members) {
      if (transport !== socket || session.transport !== undefined) continue;
      // Its session waits for another: what became of one that does not is said when it ends.
      this.#log("agent-disconnected", identity, {
        session: session.id,
        code: "agent-lost",
        reason,
        streams: session.streams,
      });
    }
  }

  async #send(request: Request, route: Route & { kind: "send" }): Promise<Response> {
    const tried = new Set<Session>();
    let agent = this.#agents.pick(tried);
    const { service } = route;
    const instead = agent === undefined ? this.#instead(service) : undefined;
    if (instead !== undefined) return forward(request, instead, service);
    this.#totals.requests++;
    let visit: Visit | undefined;
    let exchange: Exchange | undefined;
    try {
      const head = requestHead(request, route);
      visit = this.#visit(request, service, head.timed);
      for (;;) {
        agent ??= await this.#expectAgent(request.signal, head);
        tried.add(agent.session);
        try {
          exchange = agent.session.open(head);
          return await this.#answer(exchange, head, request, visit);
        } catch (error) {
          agent = mayTryAnother(error, head) ? this.#agents.pick(tried) : undefined;
          if (agent === undefined) throw error;
        }
      }
    } catch (error) {
      const id = exchange?.id ?? unsentId(request);
      const code = codeOf(error, "correlator", { ...this.#about, request: id });
      const watch = visit ?? this.#visit(request, service, false) ?? this.#watch;
      watch.over(code);
      return refusal(code, request, id);
    }
  }

  /** The measuring of a request, if anybody wants it measured. */
  #visit(request: Request, service: string, timed: boolean): Visit | undefined {
    const { REQUESTS: bound } = this.env;
    if (bound === undefined && !timed) return undefined;
    // What measures the tunnel is no request of a visitor's.
    const dataset = this.#about.shard === "probe" ? undefined : bound;
    const colo = request.cf?.["colo"];
    const visited = {
      service,
      method: request.method,
      colo: typeof colo === "string" ? colo : "",
    };
    return new Visit(visited, this.#watch, dataset);
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

  /** One request, which an agent is about to get, and its answer. */
  async #answer(
    exchange: Exchange,
    head: VisitorHead,
    request: Request,
    visit: Visit | undefined,
  ): Promise<Response> {
    const watch = visit ?? this.#watch;
    visit?.sent();
    this.#lookout.begin(exchange, request);
    if (head.length !== "none" && request.body !== null) {
      void sendBody(request.body, exchange, watch.tally, visit).then(() => this.#over());
    }
    try {
      const answered = await exchange.answer();
      visit?.answered(answered);
      const timing = head.timed ? visit?.serverTiming(answered) : undefined;
      const own: OwnFields = { id: exchange.id, timing };
      if (answered.length === "socket") {
        this.#lookout.joined(exchange);
        const headers = new Headers();
        addVisitorFields(headers, answered.headers, own, false);
        return joinVisitor(exchange, headers, this.#socketMemory, watch);
      }
      if (head.length === "socket") exchange.outgoing.end();
      return answer(exchange, answered, own, watch);
    } finally {
      this.#lookout.answered(exchange);
    }
  }

  /** An agent, after a wait if one is expected. @throws TunnelError that says why there is none. */
  async #expectAgent(signal: AbortSignal, head: RequestHead): Promise<Agent> {
    const nobody = new Set<Session>();
    const withinMs = this.#agents.expectedWithinMs(Date.now());
    if (withinMs > 0) await this.#waiting.wait(signal, withinMs, headBytes(head));
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
    const successor = request.headers.get("sluice-replace") === "1";
    // It is the way out of a full house.
    const most = successor ? MAX_AGENTS + 1 : MAX_AGENTS;
    if (others >= most) throw new TunnelError("too-many-agents");
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [identity]);
    const secret = request.headers.get(SECRET) === "previous" ? "previous" : "current";
    const socket = new Socket(server, Date.now(), secret, false);
    this.#sockets.set(server, socket);
    this.#met.add(server);
    if (successor) this.#successors.add(socket);
    this.#listener.accept(socket, identity);
    // Whoever runs the agent is told who can reach them.
    const visitors = this.env.VISITORS === "token" ? "token" : "public";
    const headers = { "sec-websocket-protocol": PROTOCOL, "sluice-visitors": visitors };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  /** Gives a socket from before the sleep a session. */
  #revive(ws: WebSocket): void {
    this.#met.add(ws);
    try {
      const kept = attachmentOf(ws);
      const { connectedAt = Date.now(), secret = "current" } = kept ?? {};
      const socket = new Socket(ws, connectedAt, secret, kept !== undefined);
      const [identity = ""] = this.ctx.getTags(ws);
      this.#sockets.set(ws, socket);
      if (kept === undefined) this.#listener.accept(socket, identity);
      else this.#listener.revive(socket, identity, kept.peer);
    } catch (error) {
      logFault("attachment", error, this.#about);
      new Socket(ws, 0, "current", true).close(1001, "the edge was updated");
    }
  }

  #newSession(identity: string, ended: (error: TunnelError) => void): Session {
    // A new name after each sleep too: what the agent still sends to the one before is told from it by that.
    const id = crypto.randomUUID();
    return new Session(platform, {
      id,
      // The agent opens no streams and sends no request bodies.
      introduction: { maxStreams: 0, credit: 0, grace: this.#graceMs, software: SOFTWARE },
      ended: (error) => {
        // Who says goodbye is not expected back.
        if (error.code === "agent-lost" || error.code === "agent-stalled") {
          this.#agents.lost(Date.now());
        }
        ended(error);
        this.#log("agent-gone", identity, { session: id, code: error.code, reason: error.note });
      },
      budget: this.#budget,
      retainBytes: EDGE_RETAIN_BYTES,
      random: unpredictable,
    });
  }

  #greeted(agent: Agent, hello: Hello): void {
    const { transport, identity, session } = agent;
    // Not when it answers a HELLO after a sleep: every first request would be a line.
    if (transport.remember(hello)) {
      this.#log("agent-connected", identity, {
        session: session.id,
        resumed: hello.session === session.id,
        software: hello.software,
        secret: transport.secret,
        agents: this.#listener.size,
      });
    }
    if (this.#successors.delete(transport)) {
      for (const other of this.#listener.members) {
        if (other !== agent) other.session.drain("replaced", "another agent took over");
      }
    }
    this.#waiting.release();
  }

  /** An agent that left while the object slept: nobody else will say so. */
  #goneAsleep(ws: WebSocket, closeCode: number, reason: string): void {
    this.#met.add(ws);
    const [identity = ""] = this.ctx.getTags(ws);
    this.#log("agent-gone", identity, { code: endOf(closeCode) ?? "agent-lost", reason });
  }

  #log(
    event: AgentLine["event"],
    identity: string,
    details: Omit<AgentLine, "event" | "agent">,
  ): void {
    logAgent({ event, agent: agentIdOf(identity), ...details }, this.#about);
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
