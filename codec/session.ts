/**
 * An agent's life with the edge: bytes to frames to exchanges, and back, over one socket after the other. Both ends use
 * it; it knows no socket, timer or randomness, only what a shell hands in.
 *
 * The end with `accept` answers exchanges, the other opens them. A session without a transport keeps all that is under
 * way; which socket belongs to which session is not its business (`listener.ts`, `dialer.ts`).
 */
import type { Host } from "./body.ts";
import { Budget } from "./budget.ts";
import { Coalescer } from "./coalescer.ts";
import { closeOf, type ErrorCode, TunnelError } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import type { Frame, Hello, RequestHead } from "./frame.ts";
import { type Introduction, writeHello } from "./greeting.ts";
import { fitsFrame, requestFault } from "./head.ts";
import { DEAD_AFTER_MS, PING_AFTER_MS, SUSPECT_AFTER_MS } from "./limits.ts";
import { Messenger, readFrames } from "./messenger.ts";
import { Mux, type MuxEvent } from "./mux.ts";
import { Proof } from "./proof.ts";
import type { Platform, Transport } from "./transport.ts";
import { unreachable } from "./assert.ts";
import { Vitals } from "./vitals.ts";

export interface SessionOptions {
  /** Names the session; the edge draws it at random. */
  readonly id: string;
  /** What our HELLO says. */
  readonly introduction: Introduction;
  /** Called for each request that arrives. Without it, a REQUEST is the peer's fault. */
  readonly accept?: (exchange: Exchange) => void;
  /** The peer takes no new streams. */
  readonly draining?: (code: ErrorCode, note: string) => void;
  /** The session has ended; every exchange was failed before. Called once. */
  readonly ended?: (error: TunnelError) => void;
  /** What may be promised to peers for bodies: sessions that share a memory share one. A new one when left out. */
  readonly budget?: Budget;
  /** The most bytes to keep of what the peer has not acknowledged; at it, sending pauses. */
  readonly retainBytes: number;
  /**
   * Unpredictable integers from 2^30 to 2^31 - 1, for an end whose transport is never full: the peer then has to prove
   * that it reads. See `UNPROVEN_BYTES`.
   */
  readonly random?: () => number;
}

/** The token of a PING whose PONG says nothing: it is asked for the ACK that comes with it. */
const ASKING = 0;

export class Session {
  readonly id: string;
  readonly #platform: Platform;
  readonly #options: SessionOptions;
  readonly #budget: Budget;
  readonly #messenger: Messenger;
  readonly #mux: Mux<Exchange>;
  readonly #proof: Proof;
  readonly #vitals: Vitals;
  readonly #coalescer: Coalescer;
  readonly #host: Host;
  readonly #poll = (): Frame | undefined => this.#nextFrame();
  readonly #flush = (): void => {
    this.#scheduled = false;
    this.flush();
  };
  #peer: Hello | undefined;
  #saidHelloMs = 0;
  /** After a sleep: our HELLO has to go before anything else. */
  #helloDue = false;
  /** After a sleep: what arrives is of the time before, until the peer's HELLO answers ours. */
  #unanswered = false;
  #error: TunnelError | undefined;
  #scheduled = false;

  constructor(platform: Platform, options: SessionOptions) {
    const { id, accept, introduction, budget = new Budget(), retainBytes, random } = options;
    this.id = id;
    this.#platform = platform;
    this.#options = options;
    this.#budget = budget;
    this.#messenger = new Messenger({ platform, budget, retainBytes });
    this.#proof = new Proof(random);
    this.#vitals = new Vitals(platform.now());
    this.#coalescer = new Coalescer(platform, () => this.#wake());
    this.#mux = new Mux({
      acceptStreams: accept === undefined ? 0 : introduction.maxStreams,
      requestCreditBytes: introduction.credit,
      budget,
    });
    this.#host = {
      session: id,
      now: () => platform.now(),
      rttMs: () => this.#vitals.rttMs ?? 0,
      wake: () => this.#wake(),
    };
  }

  /** Whether there is a transport, and neither end is draining or gone: `open()` may work. */
  get ready(): boolean {
    return this.transport !== undefined && this.#error === undefined && !this.#mux.draining;
  }

  /** The transport in use; undefined between two, and before and after all. */
  get transport(): Transport | undefined {
    return this.#messenger.transport;
  }

  /** The peer's latest HELLO. */
  get peer(): Hello | undefined {
    return this.#peer;
  }

  /** Streams that are not over. */
  get streams(): number {
    return this.#mux.size;
  }

  /** Whether something would be missed if the session ended now: streams, or the rest of a body that the peer may not have. */
  get unfinished(): boolean {
    return this.#mux.size > 0 || this.#messenger.owes;
  }

  /** Whether all stream ids are used up: another session has to take the next stream. */
  get exhausted(): boolean {
    return this.#mux.exhausted;
  }

  /** Whether the peer may never have heard of this session, so that a HELLO that does not name it can still be for it. */
  get untouched(): boolean {
    return this.#error === undefined && this.#messenger.untouched;
  }

  /** Whether the peer was asked for a sign of life and gave none yet: better not rely on it. */
  get suspect(): boolean {
    return this.#mux.size > 0 && this.#vitals.silentMs(this.#platform.now()) >= SUSPECT_AFTER_MS;
  }

  /** Body bytes that arrived and are not consumed, or are written and not sent. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const { inbox, outbox } of this.#mux.streams) {
      bytes += inbox.credit.bufferedBytes + outbox.queuedBytes;
    }
    return bytes;
  }

  /** Sent messages that the peer has not acknowledged, in bytes. */
  get retainedBytes(): number {
    return this.#messenger.retainedBytes;
  }

  /** Memory promised out of the budget, to this peer and others: 0 when nothing is under way. */
  get promisedBytes(): number {
    return this.#budget.usedBytes;
  }

  /** The round trip, once it was measured. */
  get rttMs(): number | undefined {
    return this.#vitals.rttMs;
  }

  /** How many of the peer's messages have arrived, as our HELLO says it. */
  get received(): number {
    return this.#messenger.received;
  }

  /**
   * The edge: an agent's HELLO has come on `transport`. Answers it, takes the transport, and sends again what the agent
   * has not received. False: its counter cannot be right; nothing has changed then.
   */
  welcome(transport: Transport, peer: Hello): boolean {
    // An agent that does not name this session has received nothing of it.
    const received = peer.session === this.id ? peer.received : 0;
    if (!this.#messenger.accepts(received)) return false;
    this.#sayHello(transport);
    this.#unanswered = false;
    this.#attach(transport, peer, received);
    this.#ping(this.#platform.now());
    return true;
  }

  /**
   * The agent: the edge's HELLO on `transport` names this session. Takes the transport, and sends again what the edge has
   * not received. `rttMs` is what the greeting took. False: its counter cannot be right; nothing has changed then.
   */
  join(transport: Transport, peer: Hello, rttMs: number): boolean {
    if (!this.#messenger.accepts(peer.received)) return false;
    this.#vitals.sample(rttMs);
    this.#attach(transport, peer, peer.received);
    return true;
  }

  /**
   * The edge, which has slept and forgotten: a new session on a socket of the time before, with what it remembers of the
   * peer's HELLO. It may open streams at once; its HELLO goes out before the first.
   */
  wake(transport: Transport, peer: Hello): void {
    this.#helloDue = true;
    this.#unanswered = true;
    this.#attach(transport, peer, 0);
  }

  /** The peer's HELLO answers that of a session which woke. False: it answers another, and changes nothing. */
  answered(peer: Hello): boolean {
    if (!this.#unanswered || this.#helloDue || peer.session !== this.id) return false;
    this.#unanswered = false;
    this.#vitals.sample(this.#platform.now() - this.#saidHelloMs);
    this.#meet(peer);
    return true;
  }

  /** Whether a session that woke still waits for the peer's HELLO. */
  get unanswered(): boolean {
    return this.#unanswered;
  }

  /** The transport is gone; all that is under way waits for another. */
  detach(): void {
    this.#messenger.detach();
  }

  /** Takes one message, which is no HELLO. The peer's fault ends the session; only a fault of our own is thrown. */
  receive(message: Uint8Array, from: Transport): void {
    // A transport that was replaced may still deliver: all it has will come again on the new one.
    if (this.#error !== undefined || from !== this.transport) return;
    this.#vitals.heard(this.#platform.now());
    try {
      const frames = readFrames(message);
      if (this.#unanswered) return;
      for (const frame of frames) {
        this.#apply(frame);
        if (this.#isEnded()) return;
      }
      this.#messenger.worked(frames, message.length);
      if (this.#mux.flooded) throw new TunnelError("protocol-error", "the peer does not read");
    } catch (error) {
      if (!(error instanceof TunnelError)) {
        this.end("internal-error");
        throw error;
      }
      this.end(error.code, error.note);
      return;
    }
    this.#wake();
  }

  /**
   * Opens an exchange. Unless `head.length` is "none", write the body to `outgoing` and end it.
   * @throws TunnelError `bad-request`, `head-too-large`, `overloaded`, `draining` or `agent-offline`; nothing was sent then.
   */
  open(head: RequestHead): Exchange {
    const { transport } = this;
    if (transport === undefined || this.#error !== undefined)
      throw new TunnelError("agent-offline");
    const fault = requestFault(head);
    if (fault !== undefined) throw new TunnelError("bad-request", fault);
    if (!fitsFrame(head.headers, head.method, head.path)) throw new TunnelError("head-too-large");
    if (this.#mux.flooded) throw new TunnelError("overloaded", "the agent does not read");
    const now = this.#platform.now();
    // Silence while nothing was open is none: an idle peer has nothing to say.
    if (this.#mux.size === 0) this.#vitals.heard(now);
    if (this.#helloDue) this.#sayHello(transport);
    const stream = this.#mux.open(head, now);
    const exchange = new Exchange(this.#mux, stream, this.#host);
    if (!this.#coalescer.holds(this.#mux.unanswered)) this.#wake();
    return exchange;
  }

  /** Sends what is ready, as far as the transport, the peer's acknowledgements and its proofs allow. */
  flush(): void {
    if (this.#error !== undefined) return;
    this.#coalescer.left();
    while (!this.#messenger.blocked && !this.#proof.missing) {
      // The peer answers the latest PING only: one that asks for proof must not be overtaken.
      this.#messenger.askIfDue(this.#proof.token ?? ASKING);
      if (this.#messenger.full) {
        if (this.#mux.asked && this.#messenger.owesAck && this.#mayPong()) {
          this.#messenger.acknowledgeAlone();
        }
        break;
      }
      const bytes = this.#messenger.send(this.#poll);
      if (bytes === 0) break;
      this.#prove(this.#proof.sent(bytes));
    }
  }

  /** Takes no new streams from now on (GOAWAY); those open go on. `code` says why. */
  drain(code: ErrorCode, note: string): void {
    const { transport } = this;
    if (this.#helloDue && transport !== undefined) this.#sayHello(transport);
    this.#mux.drain(code, note);
    this.#wake();
  }

  /** Asks the peer to acknowledge all that was sent: `retainedBytes` is 0 once it has. */
  ask(): void {
    if (this.transport === undefined || this.#error !== undefined) return;
    this.#ping(this.#platform.now());
    this.flush();
  }

  /**
   * Liveness, to be called every few seconds while streams are open: asks a silent peer for a sign of life. False: it
   * gave none for so long that the transport is to be taken for dead.
   */
  tick(): boolean {
    if (this.transport === undefined || this.#mux.size === 0) return true;
    const now = this.#platform.now();
    const silentMs = this.#vitals.silentMs(now);
    if (silentMs >= DEAD_AFTER_MS) return false;
    if (silentMs >= PING_AFTER_MS) this.#ping(now);
    // A PONG that was held back: the peer may wait for the ACK that comes with it.
    if (this.#mux.asked) this.#wake();
    return true;
  }

  /** Ends the session and its WebSocket: every exchange fails with `code`, on both ends. */
  end(code: ErrorCode, note = ""): void {
    if (this.#error !== undefined) return;
    const { transport } = this;
    this.lost(code, note);
    const close = closeOf(code, note);
    transport?.close(close.code, close.reason);
  }

  /** The session is over, and no transport is left to say so: every exchange fails with `code`. */
  lost(code: ErrorCode = "agent-lost", note = ""): void {
    if (this.#error !== undefined) return;
    const error = new TunnelError(code, note);
    this.#error = error;
    this.#messenger.close();
    this.#coalescer.stop();
    const opens = this.#options.accept === undefined;
    for (const stream of this.#mux.abandon()) {
      // What never left may go elsewhere.
      const unheard = opens && this.#mux.unheard(stream);
      stream.owner?.fail(unheard ? new TunnelError("agent-offline") : error);
    }
    this.#options.ended?.(error);
  }

  #sayHello(transport: Transport): void {
    this.#helloDue = false;
    this.#saidHelloMs = this.#platform.now();
    transport.send(writeHello(this.#options.introduction, this.id, this.received));
  }

  #attach(transport: Transport, peer: Hello, received: number): void {
    const before = this.transport;
    if (before !== transport) before?.close(1000, "the session goes on over another socket");
    this.#vitals.heard(this.#platform.now());
    this.#vitals.forget();
    this.#meet(peer);
    this.#proof.reset();
    this.#prove(this.#proof.sent(this.#messenger.attach(transport, received)));
    this.#wake();
  }

  #meet(peer: Hello): void {
    this.#peer = peer;
    this.#mux.allow(peer.maxStreams, peer.credit);
  }

  #apply(frame: Frame): void {
    if (frame.kind === "hello") throw new TunnelError("protocol-error", "HELLO among other frames");
    if (frame.kind === "ack") {
      this.#messenger.acknowledged(frame.received);
      return;
    }
    const event = this.#mux.receive(frame, this.#platform.now());
    if (event !== undefined) this.#dispatch(event);
  }

  #nextFrame(): Frame | undefined {
    const frame = this.#mux.poll(!this.#mux.asked || this.#mayPong());
    if (frame?.kind === "data") this.#mux.find(frame.stream)?.owner?.outgoing.notify();
    return frame;
  }

  #dispatch(event: MuxEvent<Exchange>): void {
    switch (event.kind) {
      case "opened":
        this.#options.accept?.(new Exchange(this.#mux, event.stream, this.#host));
        return;
      case "answered":
        event.stream.owner?.answered(event.head);
        return;
      case "arrived":
        event.stream.owner?.incoming.notify();
        return;
      case "credited":
        event.stream.owner?.outgoing.notify();
        return;
      case "cancelled":
        event.stream.owner?.fail(new TunnelError(event.code, event.note));
        return;
      case "draining":
        this.#options.draining?.(event.code, event.note);
        return;
      case "ponged":
        if (!this.#vitals.answered(event.token, this.#platform.now())) {
          this.#prove(this.#proof.answered(event.token));
        }
        return;
      default:
        unreachable(event);
    }
  }

  #isEnded(): boolean {
    return this.#error !== undefined;
  }

  #ping(now: number): void {
    // The peer answers the latest PING only: one that asks for proof must not be overtaken.
    this.#mux.ping(this.#proof.token ?? this.#vitals.ask(now));
    this.#wake();
  }

  /** Asks for proof that the peer reads, if there is a token to ask with. */
  #prove(token: number | undefined): void {
    if (token !== undefined) this.#mux.ping(token);
  }

  /** A transport that can be full holds a peer that asks too much back by itself. */
  #mayPong(): boolean {
    return this.#options.random === undefined || this.#vitals.mayPong(this.#platform.now());
  }

  #wake(): void {
    if (this.#scheduled || this.#error !== undefined) return;
    this.#scheduled = true;
    this.#platform.schedule(this.#flush);
  }
}
