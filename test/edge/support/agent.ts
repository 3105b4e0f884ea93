/** An agent for the tests: the real session over a real WebSocket to the Worker, with an origin made of a function. */
import { exports } from "cloudflare:workers";
import type { Exchange } from "../../../codec/exchange.ts";
import type { TunnelError } from "../../../codec/errors.ts";
import type { ResponseHead } from "../../../codec/frame.ts";
import { MAX_STREAMS, PROTOCOL, REQUEST_CREDIT_BYTES } from "../../../codec/limits.ts";
import { Session, type Transport } from "../../../codec/session.ts";
import { signToken } from "./token.ts";

export type Origin = (exchange: Exchange) => void | Promise<void>;

export interface ConnectOptions {
  readonly service: string;
  readonly origin?: Origin;
  readonly agent?: string;
  readonly token?: string;
  readonly maxStreams?: number;
  /** False: the socket opens but no HELLO is sent. */
  readonly greets?: boolean;
}

/** A service name that no other test uses. */
export function newService(): string {
  return `test-${crypto.randomUUID().slice(0, 13)}`;
}

export function newAgentId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

/** The upgrade that an agent sends. */
export async function upgrade(
  options: ConnectOptions,
  headers: Record<string, string> = {},
): Promise<Response> {
  const { service, agent = newAgentId() } = options;
  const token = options.token ?? (await signToken({ service }));
  return exports.default.fetch(`https://edge.test/websocket/${service}`, {
    headers: {
      upgrade: "websocket",
      "sec-websocket-protocol": PROTOCOL,
      authorization: `Bearer ${token}`,
      "sluice-agent": agent,
      ...headers,
    },
  });
}

export class FakeAgent {
  readonly ws: WebSocket;
  readonly session: Session;
  /** Resolves when the HELLOs are exchanged. */
  readonly ready: Promise<void>;
  /** How the edge closed the socket, or how the socket ended. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Why the session ended at this end. */
  readonly ended: Promise<TunnelError>;
  /** WebSocket messages that arrived. */
  messages = 0;

  private constructor(ws: WebSocket, options: ConnectOptions) {
    const { origin = () => undefined } = options;
    this.ws = ws;
    const ready = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<TunnelError>();
    const closed = Promise.withResolvers<{ code: number; reason: string }>();
    this.ready = ready.promise;
    this.ended = ended.promise;
    this.closed = closed.promise;
    this.session = new Session(new FakeTransport(ws), {
      hello: {
        session: "",
        maxStreams: options.maxStreams ?? MAX_STREAMS,
        credit: REQUEST_CREDIT_BYTES,
        software: "fake-agent/1",
      },
      accept: (exchange) => void run(origin, exchange),
      greeted: () => ready.resolve(),
      ended: ended.resolve,
    });
    ws.binaryType = "arraybuffer";
    ws.addEventListener("message", ({ data }) => {
      this.messages++;
      this.session.receive(new Uint8Array(data as ArrayBuffer));
    });
    ws.addEventListener("close", ({ code, reason }) => {
      this.session.lost();
      closed.resolve({ code, reason });
    });
    ws.accept();
    if (options.greets !== false) this.session.greet();
  }

  /** Connects and returns at once: see `ready`. */
  static async dial(options: ConnectOptions): Promise<FakeAgent> {
    const response = await upgrade(options);
    if (response.webSocket === null) throw new Error(`refused: ${response.status}`);
    return new FakeAgent(response.webSocket, options);
  }

  /** Connects and greets. */
  static async connect(options: ConnectOptions): Promise<FakeAgent> {
    const agent = await FakeAgent.dial(options);
    await agent.ready;
    return agent;
  }

  /** Ends the connection as an agent that leaves. */
  close(code = 1000, reason = ""): void {
    this.ws.close(code, reason);
  }
}

async function run(origin: Origin, exchange: Exchange): Promise<void> {
  try {
    await origin(exchange);
  } catch (error) {
    if (exchange.error === undefined) throw error;
  }
}

class FakeTransport implements Transport {
  readonly full = false;
  readonly #ws: WebSocket;

  constructor(ws: WebSocket) {
    this.#ws = ws;
  }

  send(message: Uint8Array): void {
    this.#ws.send(message);
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, reason);
  }

  schedule(flush: () => void): void {
    queueMicrotask(flush);
  }

  now(): number {
    return performance.now();
  }

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }
}

/** Answers with a head and a whole body, with its Content-Length. */
export function reply(exchange: Exchange, body = "", head: Partial<ResponseHead> = {}): void {
  const bytes = new TextEncoder().encode(body);
  exchange.respond({ status: 200, reason: "OK", headers: [], length: bytes.length, ...head });
  if (head.length === "none") return;
  if (bytes.length > 0) exchange.outgoing.write(bytes);
  exchange.outgoing.end();
}

/** Reads the rest of a request's body. */
export async function bodyOf({ incoming }: Exchange): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of incoming) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

/** A request to `service` through the Worker. */
export function send(service: string, path = "/", init?: RequestInit): Promise<Response> {
  return exports.default.fetch(`https://edge.test/send/${service}${path}`, init);
}
