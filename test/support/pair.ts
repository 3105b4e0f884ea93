/**
 * Two ends joined in memory: two kernels by two arrays of frames, or a listener and a dialer by two transports. Nothing moves but
 * by a call, and the clock is a number, so that a run depends on nothing but its test.
 */
import { Budget } from "../../codec/budget.ts";
import { Dialer } from "../../codec/dialer.ts";
import type { ErrorCode } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { Frame, Hello } from "../../codec/frame.ts";
import type { Introduction } from "../../codec/greeting.ts";
import { EDGE_RETAIN_BYTES, GRACE_MS, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import { Listener } from "../../codec/listener.ts";
import { Mux, type MuxEvent } from "../../codec/mux.ts";
import { Session, type SessionOptions } from "../../codec/session.ts";
import type { Platform, Transport } from "../../codec/transport.ts";
import { MessageReader, MessageWriter } from "../../codec/wire.ts";

/** A budget whose new bodies start with a window of any size: the edges of a window are where mistakes are. */
export class TinyBudget extends Budget {
  readonly #windowBytes: number;

  constructor(totalBytes: number, windowBytes: number) {
    super(totalBytes);
    this.#windowBytes = windowBytes;
  }

  override admit(): number {
    return this.reserve(this.#windowBytes) ? this.#windowBytes : 0;
  }
}

/** Frames of the kernel: all but HELLO. */
export type KernelFrame = Exclude<Frame, { kind: "hello" }>;

/** One end of a `KernelPair`. */
export class KernelEnd<Owner> {
  readonly mux: Mux<Owner>;
  /** Frames that this end has sent and the other has not received. */
  readonly sent: KernelFrame[] = [];
  /** Called for each event that a received frame made. */
  onEvent: (event: MuxEvent<Owner>) => void = () => {};

  constructor(mux: Mux<Owner>) {
    this.mux = mux;
  }

  /** Sends up to `most` frames. Returns how many there were. */
  send(most = Number.POSITIVE_INFINITY): number {
    let count = 0;
    for (; count < most; count++) {
      const frame = this.mux.poll();
      if (frame === undefined) break;
      this.sent.push(frame as KernelFrame);
    }
    return count;
  }
}

export interface KernelPairOptions {
  readonly maxStreams: number;
  readonly requestCreditBytes: number;
  readonly openerBudget: Budget;
  readonly acceptorBudget: Budget;
  /** Whether frames become bytes and frames again on the way. */
  readonly throughWire: boolean;
}

/** Two kernels, already greeted: the opener may open streams, the acceptor answers them. */
export class KernelPair<Owner> {
  readonly opener: KernelEnd<Owner>;
  readonly acceptor: KernelEnd<Owner>;
  now = 0;
  rttMs = 0;
  readonly #throughWire: boolean;

  constructor(options: KernelPairOptions) {
    const { maxStreams, requestCreditBytes, openerBudget, acceptorBudget } = options;
    this.opener = new KernelEnd(
      new Mux<Owner>({ acceptStreams: 0, requestCreditBytes: 0, budget: openerBudget }),
    );
    this.acceptor = new KernelEnd(
      new Mux<Owner>({ acceptStreams: maxStreams, requestCreditBytes, budget: acceptorBudget }),
    );
    this.opener.mux.allow(maxStreams, requestCreditBytes);
    this.acceptor.mux.allow(0, 0);
    this.#throughWire = options.throughWire;
  }

  /** Lets `to` receive up to `most` frames. Returns how many there were. */
  deliver(to: "opener" | "acceptor", most = Number.POSITIVE_INFINITY): number {
    const receiver = this[to];
    const sender = to === "opener" ? this.acceptor : this.opener;
    const frames = sender.sent.splice(0, most);
    for (const frame of this.#throughWire ? overWire(frames) : frames) {
      const event = receiver.mux.receive(frame, this.now);
      if (event !== undefined) receiver.onEvent(event);
    }
    return frames.length;
  }
}

/** The frames as they come out at the other end of the wire. */
function overWire(frames: readonly KernelFrame[]): KernelFrame[] {
  const writer = new MessageWriter();
  for (const frame of frames) writer.add(frame);
  return framesOf(writer.take((bytes) => new Uint8Array(bytes))) as KernelFrame[];
}

/** All frames of a message. */
export function framesOf(message: Uint8Array): Frame[] {
  const reader = new MessageReader(message);
  const frames: Frame[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
  return frames;
}

/** One message of `frames`. */
export function messageOf(...frames: Frame[]): Uint8Array {
  const writer = new MessageWriter();
  for (const frame of frames) writer.add(frame);
  return writer.take((bytes) => new Uint8Array(bytes));
}

/** A clock that stands still until it is moved. */
export interface Clock {
  now: number;
}

/** A platform whose timers run when a test says so. */
export class MemoryPlatform implements Platform {
  /** Messages whose memory was given back. */
  readonly released: Uint8Array[] = [];
  /** The size of the largest message. */
  largestBytes = 0;
  readonly #clock: Clock;
  readonly #timers = new Set<{ readonly atMs: number; readonly due: () => void }>();
  #scheduled: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now;
  }

  schedule(flush: () => void): void {
    this.#scheduled.push(flush);
  }

  after(ms: number, due: () => void): () => void {
    const timer = { atMs: this.#clock.now + ms, due };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  allocate(bytes: number): Uint8Array {
    this.largestBytes = Math.max(bytes, this.largestBytes);
    return new Uint8Array(bytes).fill(0xaa);
  }

  release(message: Uint8Array): void {
    this.released.push(message);
    // Whoever still needs it shows.
    message.fill(0xdd);
  }

  /** Timers that have not run. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Runs what was scheduled. Returns whether anything was. */
  turn(): boolean {
    const scheduled = this.#scheduled;
    this.#scheduled = [];
    for (const flush of scheduled) flush();
    return scheduled.length > 0;
  }

  /** Runs the timers whose time has come. */
  ring(): void {
    for (const timer of this.#timers) {
      if (timer.atMs > this.#clock.now || !this.#timers.delete(timer)) continue;
      timer.due();
    }
  }
}

/** A transport that keeps what is sent until a test delivers it. */
export class MemoryTransport implements Transport {
  /** Messages that the other end has not received. */
  readonly sent: Uint8Array[] = [];
  full = false;
  /** What `close` was called with, first call only. */
  closed: { readonly code: number; readonly reason: string } | undefined;
  readonly #platform: MemoryPlatform;

  constructor(platform: MemoryPlatform) {
    this.#platform = platform;
  }

  send(message: Uint8Array): void {
    // A real socket drops it, and has a copy of what it takes.
    if (this.closed === undefined) this.sent.push(message.slice());
  }

  close(code: number, reason: string): void {
    this.closed ??= { code, reason };
  }

  /** Lets its end do what it has scheduled. Returns whether that was anything. */
  turn(): boolean {
    return this.#platform.turn();
  }

  /** The frames of all messages that wait, message by message. */
  frames(): Frame[][] {
    return this.sent.map((message) => framesOf(message));
  }
}

/** What the edge's HELLO says unless a test wants it otherwise. */
export const edgeHello: Introduction = {
  maxStreams: 0,
  credit: 0,
  grace: GRACE_MS,
  software: "edge/test",
};
/** What the agent's HELLO says unless a test wants it otherwise. */
export const agentHello: Introduction = {
  maxStreams: 100,
  credit: REQUEST_CREDIT_BYTES,
  grace: 0,
  software: "agent/test",
};

export interface EdgeOptions extends Partial<SessionOptions> {
  readonly greeted?: (hello: Hello) => void;
}

export interface AgentOptions {
  readonly introduction?: Introduction;
  readonly accept?: (exchange: Exchange) => void;
  readonly connected?: (session: Session, resumed: boolean) => void;
  readonly draining?: (code: ErrorCode, note: string) => void;
  readonly budget?: Budget;
  readonly retainBytes?: number;
}

/** The edge's end of a `SessionPair`. */
export class EdgeEnd {
  readonly platform: MemoryPlatform;
  /** The latest socket. */
  transport: MemoryTransport;
  listener: Listener<MemoryTransport>;
  readonly #options: EdgeOptions;
  #ids = 0;
  /** The latest session, though it may have ended. */
  #session: Session | undefined;

  constructor(clock: Clock, options: EdgeOptions) {
    this.platform = new MemoryPlatform(clock);
    this.transport = new MemoryTransport(this.platform);
    this.#options = options;
    this.listener = this.#newListener();
  }

  get session(): Session {
    if (this.#session === undefined) throw new Error("nobody has greeted yet");
    return this.#session;
  }

  get id(): string {
    return `s${this.#ids}`;
  }

  receive(message: Uint8Array): void {
    this.listener.receive(this.transport, message);
  }

  tick(): void {
    this.listener.tick();
  }

  /** Everything is forgotten but the socket and the agent's HELLO. */
  sleep(): void {
    const { peer } = this.session;
    if (peer === undefined) throw new Error("nobody has greeted yet");
    this.listener = this.#newListener();
    this.listener.revive(this.transport, "agent", peer);
  }

  /** Everything is forgotten. */
  reset(): void {
    this.listener = this.#newListener();
  }

  #newListener(): Listener<MemoryTransport> {
    const { greeted, ended: told, ...options } = this.#options;
    // Tokens that nobody guesses need not be random here, only others than a session counts up.
    let token = 2 ** 30;
    return new Listener<MemoryTransport>({
      platform: this.platform,
      graceMs: edgeHello.grace,
      newSession: (_identity, ended) => {
        this.#ids++;
        this.#session = new Session(this.platform, {
          id: this.id,
          introduction: edgeHello,
          retainBytes: EDGE_RETAIN_BYTES,
          random: () => ++token,
          ...options,
          ended: (error) => {
            told?.(error);
            ended(error);
          },
        });
        return this.#session;
      },
      greeted: (_member, hello) => greeted?.(hello),
      left: () => {},
    });
  }
}

/** The agent's end of a `SessionPair`. */
export class AgentEnd {
  readonly platform: MemoryPlatform;
  /** The latest socket. */
  transport: MemoryTransport;
  readonly dialer: Dialer;
  /** The latest session, though it may have ended. */
  #session: Session | undefined;

  constructor(clock: Clock, options: AgentOptions) {
    this.platform = new MemoryPlatform(clock);
    this.transport = new MemoryTransport(this.platform);
    this.dialer = new Dialer({
      platform: this.platform,
      introduction: agentHello,
      accept: () => {},
      connected: () => {},
      draining: () => {},
      ...options,
    });
  }

  get session(): Session {
    this.#session = this.dialer.session ?? this.#session;
    if (this.#session === undefined) throw new Error("nobody has greeted yet");
    return this.#session;
  }

  receive(message: Uint8Array): void {
    this.dialer.receive(this.transport, message);
    this.#session = this.dialer.session ?? this.#session;
  }
}

export interface SessionPairOptions {
  readonly edge?: EdgeOptions;
  readonly agent?: AgentOptions;
}

/** Two ends and a socket: the edge opens exchanges, the agent accepts them. */
export class SessionPair {
  readonly clock: Clock = { now: 1000 };
  readonly edge: EdgeEnd;
  readonly agent: AgentEnd;

  constructor({ edge = {}, agent = {} }: SessionPairOptions = {}) {
    this.edge = new EdgeEnd(this.clock, edge);
    this.agent = new AgentEnd(this.clock, agent);
    this.edge.listener.accept(this.edge.transport, "agent");
  }

  /** A pair that has exchanged its HELLOs. */
  static async greeted(options?: SessionPairOptions): Promise<SessionPair> {
    const pair = new SessionPair(options);
    pair.greet();
    await pair.settle();
    return pair;
  }

  /** The agent's socket is open. */
  greet(): void {
    this.agent.dialer.open(this.agent.transport);
  }

  /** The socket breaks: what is on its way is lost. Each end hears of it, or only one. */
  cut(...who: ("edge" | "agent")[]): void {
    const all = who.length === 0 ? (["edge", "agent"] as const) : who;
    this.edge.transport.sent.length = 0;
    this.agent.transport.sent.length = 0;
    if (all.includes("edge")) this.edge.listener.lost(this.edge.transport, 1006, "");
    if (all.includes("agent")) this.agent.dialer.lost(this.agent.transport, 1006, "");
  }

  /** The agent's next socket is accepted and open. */
  redial(): void {
    this.edge.transport = new MemoryTransport(this.edge.platform);
    this.agent.transport = new MemoryTransport(this.agent.platform);
    this.edge.listener.accept(this.edge.transport, "agent");
    this.greet();
  }

  /** Time passes, and timers ring. */
  pass(ms: number): void {
    this.clock.now += ms;
    this.edge.platform.ring();
    this.agent.platform.ring();
  }

  /** Lets the agent (or the edge) receive up to `most` messages. Returns how many there were. */
  deliver(to: "edge" | "agent", most = Number.POSITIVE_INFINITY): number {
    const messages = this[to === "edge" ? "agent" : "edge"].transport.sent.splice(0, most);
    for (const message of messages) this[to].receive(message);
    return messages.length;
  }

  /** Lets both ends work, and everything arrive, until nothing moves any more. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3;) {
      const moved =
        [this.edge.transport.turn(), this.agent.transport.turn()].includes(true) ||
        this.deliver("agent") + this.deliver("edge") > 0;
      quiet = moved ? 0 : quiet + 1;
      // Promises are settled in microtasks: an immediate comes after all of them.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The edge sleeps and wakes: a new session on the same socket, with what was remembered of the agent. */
  hibernate(): void {
    this.edge.sleep();
  }
}
