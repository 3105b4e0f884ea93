/** An agent for the tests: the real session over a real WebSocket to the Worker, with an origin made of a function. */
import { exports } from "cloudflare:workers";
import type { Exchange } from "../../../codec/exchange.ts";
import { errors } from "../../../codec/errors.ts";
import type { ResponseHead } from "../../../codec/frame.ts";
import { Dialer } from "../../../codec/dialer.ts";
import { PROTOCOL } from "../../../codec/limits.ts";
import type { Session } from "../../../codec/session.ts";
import type { Transport } from "../../../codec/transport.ts";
import { testAgent, testPlatform } from "../../support/joined.ts";
import { signToken } from "./token.ts";

/** The code by which an agent that leaves ends its session. */
const GOODBYE = 4000 + errors["shutting-down"].wire;

export type Origin = (exchange: Exchange) => void | Promise<void>;

export interface ConnectOptions {
  readonly service: string;
  readonly origin?: Origin;
  readonly agent?: string;
  readonly token?: string;
  readonly maxStreams?: number;
  /** Which of the service's objects it dials; the first when left out. */
  readonly shard?: number | "probe";
  /** False: the socket opens but no HELLO is sent. */
  readonly greets?: boolean;
  /** More fields of the upgrade. */
  readonly headers?: Record<string, string>;
  readonly draining?: (code: string) => void;
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
  const { service, shard, agent = newAgentId() } = options;
  const token = options.token ?? (await signToken({ service }));
  const query = shard === undefined ? "" : `?shard=${shard}`;
  return exports.default.fetch(`https://edge.test/websocket/${service}${query}`, {
    headers: {
      upgrade: "websocket",
      "sec-websocket-protocol": PROTOCOL,
      authorization: `Bearer ${token}`,
      "sluice-agent": agent,
      ...headers,
    },
  });
}

/** Agents that dial again and again with one session, as a process does. */
export class FakeAgent {
  ws: WebSocket;
  readonly dialer: Dialer;
  /** Whether each greeting went on with the session before. */
  readonly resumed: boolean[] = [];
  /** WebSocket messages that arrived. */
  messages = 0;
  /** Resolves when the HELLOs are exchanged. */
  ready: Promise<void>;
  /** How the edge closed the socket, or how the socket ended. */
  closed: Promise<{ code: number; reason: string }>;
  #greeted = Promise.withResolvers<void>();
  #transport: FakeTransport;
  #leaving = false;
  /** The latest session, though it may have ended. */
  #session: Session | undefined;
  readonly #options: ConnectOptions;

  private constructor(ws: WebSocket, options: ConnectOptions) {
    const { origin = () => undefined, maxStreams = testAgent.maxStreams } = options;
    this.ws = ws;
    this.#options = options;
    this.dialer = new Dialer({
      platform: testPlatform(queueMicrotask),
      introduction: { ...testAgent, maxStreams, software: "fake-agent/1" },
      accept: (exchange) => void run(origin, exchange),
      connected: (session, resumed) => {
        this.#session = session;
        this.resumed.push(resumed);
        this.#greeted.resolve();
      },
      draining: (code) => options.draining?.(code),
    });
    this.ready = this.#greeted.promise;
    this.#transport = new FakeTransport(ws);
    this.closed = this.#use(ws);
  }

  /** Connects and returns at once: see `ready`. */
  static async dial(given: ConnectOptions): Promise<FakeAgent> {
    const { agent = newAgentId(), token = await signToken({ service: given.service }) } = given;
    const options = { ...given, agent, token };
    return new FakeAgent(await socket(options), options);
  }

  /** Connects and greets. */
  static async connect(options: ConnectOptions): Promise<FakeAgent> {
    const agent = await FakeAgent.dial(options);
    await agent.ready;
    return agent;
  }

  get session(): Session {
    this.#session = this.dialer.session ?? this.#session;
    if (this.#session === undefined) throw new Error("the edge has not answered yet");
    return this.#session;
  }

  /** Says the HELLO that `greets: false` held back. */
  greet(): void {
    this.dialer.open(this.#transport);
  }

  /** The connection breaks; the agent is away until it dials again. */
  break(): void {
    // The platform has no other way to end a socket of a test than an orderly one.
    this.ws.close(1001, "broken");
    this.dialer.lost(this.#transport, 1006, "");
  }

  /** Dials again, with the same identity, and greets. */
  async redial(): Promise<void> {
    this.#greeted = Promise.withResolvers();
    this.ready = this.#greeted.promise;
    this.ws = await socket(this.#options);
    this.closed = this.#use(this.ws);
    await this.ready;
  }

  /** Ends the connection as an agent that leaves. */
  close(code = GOODBYE, reason = ""): void {
    this.#leaving = true;
    this.ws.close(code, reason);
  }

  #use(ws: WebSocket): Promise<{ code: number; reason: string }> {
    const transport = new FakeTransport(ws);
    this.#transport = transport;
    const { promise, resolve } = Promise.withResolvers<{ code: number; reason: string }>();
    ws.binaryType = "arraybuffer";
    ws.addEventListener("message", ({ data }) => {
      this.messages++;
      this.dialer.receive(transport, new Uint8Array(data as ArrayBuffer));
    });
    ws.addEventListener("close", ({ code, reason }) => {
      this.dialer.lost(transport, code, reason);
      if (this.#leaving) this.dialer.end("shutting-down", "");
      resolve({ code, reason });
    });
    ws.accept();
    if (this.#options.greets !== false) this.dialer.open(transport);
    return promise;
  }
}

async function socket(options: ConnectOptions): Promise<WebSocket> {
  const response = await upgrade(options, options.headers);
  if (response.webSocket === null) throw new Error(`refused: ${response.status}`);
  return response.webSocket;
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
    try {
      this.#ws.send(message);
    } catch {
      // It is closed: what is sent is lost.
    }
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, reason);
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

/** An origin that answers its request with "x" when it is told to, and says when it has one. */
export class HeldAnswer {
  readonly #begun = Promise.withResolvers<void>();
  readonly #end = Promise.withResolvers<void>();
  readonly begun = this.#begun.promise;
  readonly end = this.#end.resolve;
  readonly origin = async (exchange: Exchange): Promise<void> => {
    this.#begun.resolve();
    await this.#end.promise;
    reply(exchange, "x");
  };
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
