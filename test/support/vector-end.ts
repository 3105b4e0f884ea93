/**
 * One end of a conversation of the test vectors, driven step by step: the real session, listener or dialer of `codec/` on a
 * socket that is an array.
 */
import type { Exchange } from "../../codec/exchange.ts";
import { AgentEnd, agentHello, type Clock, EdgeEnd, MemoryTransport } from "./pair.ts";
import {
  type Act,
  bytesOf,
  type End,
  fieldsOf,
  type Outcome,
  requestOf,
  responseOf,
} from "./vectors.ts";

/** What the agent of the conversations allows: few, so that too many are few as well. */
const MAX_STREAMS = 3;

export class VectorEnd {
  readonly clock: Clock = { now: 1000 };
  readonly #end: { readonly is: "edge"; readonly edge: EdgeEnd } | AgentIs;
  readonly #exchanges = new Map<number, Exchange>();
  readonly #readBytes = new Map<number, number>();
  #socket = 0;

  constructor(end: End) {
    this.#end =
      end === "edge"
        ? { is: "edge", edge: new EdgeEnd(this.clock, {}) }
        : {
            is: "agent",
            agent: new AgentEnd(this.clock, {
              introduction: { ...agentHello, maxStreams: MAX_STREAMS },
              accept: (exchange) => this.#begin(exchange),
            }),
          };
  }

  /** The agent has a socket. */
  connect(socket: number): void {
    if (socket !== ++this.#socket) throw new Error(`socket ${socket} after ${this.#socket - 1}`);
    const end = this.#end;
    const { platform } = end.is === "edge" ? end.edge : end.agent;
    const transport = new MemoryTransport(platform);
    if (end.is === "edge") {
      end.edge.transport = transport;
      end.edge.listener.accept(transport, "agent");
    } else {
      end.agent.transport = transport;
      end.agent.dialer.open(transport);
    }
  }

  /** What this end has sent since the last time, message by message. */
  sent(): Uint8Array[] {
    this.#transport.turn();
    return this.#transport.sent.splice(0);
  }

  /** The code with which this end has closed the socket. */
  get closed(): number | undefined {
    return this.#transport.closed?.code;
  }

  receive(message: Uint8Array): void {
    const end = this.#end;
    if (end.is === "edge") end.edge.receive(message);
    else end.agent.receive(message);
  }

  /** The socket is gone; 1006 when there was no close frame. */
  lose(code = 1006): void {
    const end = this.#end;
    if (end.is === "edge") end.edge.listener.lost(end.edge.transport, code, "");
    else end.agent.dialer.lost(end.agent.transport, code, "");
  }

  wait(ms: number): void {
    this.clock.now += ms;
    const end = this.#end;
    (end.is === "edge" ? end.edge : end.agent).platform.ring();
  }

  act(act: Act): void {
    switch (act.does) {
      case "open": {
        const exchange = this.#edge.session.open(requestOf(act));
        if (exchange.stream !== act.stream) throw new Error(`stream ${exchange.stream}`);
        this.#begin(exchange);
        return;
      }
      case "answer":
        this.#exchange(act.stream).respond(responseOf(act));
        return;
      case "write":
        this.#exchange(act.stream).outgoing.write(bytesOf(act.bytes));
        return;
      case "end":
        this.#exchange(act.stream).outgoing.end(fieldsOf(act.trailers));
        return;
      case "read": {
        const { incoming } = this.#exchange(act.stream);
        let read = this.#readBytes.get(act.stream) ?? 0;
        for (let chunk = incoming.take(); chunk !== undefined; chunk = incoming.take()) {
          read += chunk.length;
        }
        this.#readBytes.set(act.stream, read);
        return;
      }
      case "cancel":
        this.#exchange(act.stream).cancel(act.code, act.note);
        return;
      case "decline":
        this.#exchange(act.stream).incoming.decline();
        return;
      case "drain": {
        const end = this.#end;
        if (end.is === "edge") end.edge.session.drain("draining", act.note);
        else end.agent.dialer.drain(act.note);
        return;
      }
      case "sleep":
        this.#edge.sleep();
        return;
      case "restart":
        this.#edge.reset();
        return;
      default:
        throw new Error(`nobody can ${JSON.stringify(act)}`);
    }
  }

  outcome(stream: number): Omit<Outcome, "at" | "outcomeOf"> {
    const { incoming, error } = this.#exchange(stream);
    return {
      read: this.#readBytes.get(stream) ?? 0,
      complete: incoming.ended,
      failed: error?.code ?? null,
    };
  }

  /** Ids begin anew with each session. */
  #begin(exchange: Exchange): void {
    this.#exchanges.set(exchange.stream, exchange);
    this.#readBytes.delete(exchange.stream);
  }

  get #edge(): EdgeEnd {
    if (this.#end.is !== "edge") throw new Error("that is for the edge");
    return this.#end.edge;
  }

  get #transport(): MemoryTransport {
    const end = this.#end;
    return (end.is === "edge" ? end.edge : end.agent).transport;
  }

  #exchange(stream: number): Exchange {
    const exchange = this.#exchanges.get(stream);
    if (exchange === undefined) throw new Error(`stream ${stream} was never opened`);
    return exchange;
  }
}

interface AgentIs {
  readonly is: "agent";
  readonly agent: AgentEnd;
}
