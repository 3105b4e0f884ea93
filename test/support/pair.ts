/**
 * Two ends joined in memory: two kernels by two arrays of frames, or two sessions by two transports. Nothing moves but
 * by a call, and the clock is a number, so that a run depends on nothing but its test.
 */
import { Budget } from "../../codec/budget.ts";
import type { Frame } from "../../codec/frame.ts";
import { REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import { Mux, type MuxEvent } from "../../codec/mux.ts";
import { Session, type SessionOptions, type Transport } from "../../codec/session.ts";
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

/** A transport that keeps what is sent until a test delivers it. */
export class MemoryTransport implements Transport {
  /** Messages that the other end has not received. */
  readonly sent: Uint8Array[] = [];
  full = false;
  /** What `close` was called with, first call only. */
  closed: { readonly code: number; readonly reason: string } | undefined;
  readonly #clock: Clock;
  #scheduled: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  send(message: Uint8Array): void {
    if (this.closed !== undefined) throw new Error("sent after close");
    this.sent.push(message);
  }

  close(code: number, reason: string): void {
    this.closed ??= { code, reason };
  }

  schedule(flush: () => void): void {
    this.#scheduled.push(flush);
  }

  now(): number {
    return this.#clock.now;
  }

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes).fill(0xaa);
  }

  /** Runs what was scheduled. Returns whether anything was. */
  turn(): boolean {
    const scheduled = this.#scheduled;
    this.#scheduled = [];
    for (const flush of scheduled) flush();
    return scheduled.length > 0;
  }

  /** The frames of all messages that wait, message by message. */
  frames(): Frame[][] {
    return this.sent.map((message) => framesOf(message));
  }
}

/** One end of a `SessionPair`. */
export interface SessionEnd {
  readonly session: Session;
  readonly transport: MemoryTransport;
}

/** Makes a session on a transport of its own. */
export function sessionEnd(clock: Clock, options: SessionOptions): SessionEnd {
  const transport = new MemoryTransport(clock);
  return { session: new Session(transport, options), transport };
}

export interface SessionPairOptions {
  readonly edge?: Partial<SessionOptions>;
  readonly agent?: Partial<SessionOptions>;
}

/** What the edge's HELLO says unless a test wants it otherwise. */
export const edgeHello = { session: "s1", maxStreams: 0, credit: 0, software: "edge/test" };
/** What the agent's HELLO says unless a test wants it otherwise. */
export const agentHello = {
  session: "",
  maxStreams: 100,
  credit: REQUEST_CREDIT_BYTES,
  software: "agent/test",
};

/** Two sessions: the edge opens exchanges, the agent accepts them. */
export class SessionPair {
  readonly clock: Clock = { now: 1000 };
  edge: SessionEnd;
  readonly agent: SessionEnd;
  readonly #edgeOptions: SessionOptions;

  constructor({ edge, agent }: SessionPairOptions = {}) {
    // Tokens that nobody guesses need not be random here, only others than a session counts up.
    let token = 2 ** 30;
    this.#edgeOptions = { hello: edgeHello, random: () => ++token, ...edge };
    this.edge = sessionEnd(this.clock, this.#edgeOptions);
    this.agent = sessionEnd(this.clock, { hello: agentHello, accept: () => {}, ...agent });
  }

  /** A pair that has exchanged its HELLOs. */
  static async greeted(options?: SessionPairOptions): Promise<SessionPair> {
    const pair = new SessionPair(options);
    pair.agent.session.greet();
    await pair.settle();
    return pair;
  }

  /** Lets the agent (or the edge) receive up to `most` messages. Returns how many there were. */
  deliver(to: "edge" | "agent", most = Number.POSITIVE_INFINITY): number {
    const messages = this[to === "edge" ? "agent" : "edge"].transport.sent.splice(0, most);
    for (const message of messages) this[to].session.receive(message);
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
  hibernate(options: Partial<SessionOptions> = {}): void {
    const { peer } = this.edge.session;
    if (peer === undefined)
      throw new Error("an edge that was never greeted has nothing to remember");
    const { transport } = this.edge;
    const session = new Session(transport, { ...this.#edgeOptions, ...options });
    session.resumeGreeted(peer);
    this.edge = { session, transport };
  }
}
