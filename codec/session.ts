/**
 * One agent's connection: bytes to frames to exchanges, and back. Both shells use it; it knows no socket, timer or
 * randomness, only the `Transport` a shell hands in.
 *
 * The end with `accept` answers exchanges, the other opens them. The opener may forget everything between two
 * exchanges (a Durable Object hibernates) and then simply says HELLO again: both ends start anew.
 */
import type { Host } from "./body.ts";
import { Budget } from "./budget.ts";
import { type ErrorCode, errors, TunnelError } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import type { Frame, Hello, RequestHead } from "./frame.ts";
import { fitsFrame, requestFault } from "./head.ts";
import { DEAD_AFTER_MS, MAX_MESSAGE_BYTES, MESSAGE_TARGET_BYTES, PING_AFTER_MS } from "./limits.ts";
import { Mux, type MuxEvent } from "./mux.ts";
import { Proof } from "./proof.ts";
import { MessageReader, MessageWriter } from "./wire.ts";
import { unreachable } from "./assert.ts";

/** What a session needs of a WebSocket; a shell implements it. */
export interface Transport {
  /** Sends one binary message. The session never touches `message` again. */
  send(message: Uint8Array): void;
  /** True while the transport would rather not take more; the shell calls `session.flush()` when that ends. */
  readonly full: boolean;
  /** Ends the WebSocket. `code` is 1000, 1001 or 4000 + wire number, `reason` at most 123 bytes. Idempotent, never throws. */
  close(code: number, reason: string): void;
  /** Calls `flush` once, soon: what becomes ready until then shares messages. */
  schedule(flush: () => void): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** A buffer of its own whose contents do not matter. */
  allocate(bytes: number): Uint8Array;
}

export interface SessionOptions {
  /** What our HELLO says. */
  readonly hello: Omit<Hello, "kind" | "received">;
  /** Called for each request that arrives. Without it, a REQUEST is the peer's fault. */
  readonly accept?: (exchange: Exchange) => void;
  /** The peer's HELLO has arrived, for the first time or anew. */
  readonly greeted?: (peer: Hello) => void;
  /** The peer takes no new streams. */
  readonly draining?: (code: ErrorCode, note: string) => void;
  /** The session has ended; every exchange was failed before. Called once. */
  readonly ended?: (error: TunnelError) => void;
  /** What may be promised to peers for bodies: sessions that share a memory share one. A new one when left out. */
  readonly budget?: Budget;
  /**
   * Unpredictable integers from 2^30 to 2^31 - 1, for an end whose transport is never full: the peer then has to prove
   * that it reads. See `UNPROVEN_BYTES`.
   */
  readonly random?: () => number;
}

/** RFC 6455 section 5.5: a control frame holds 125 bytes, two of them the code. */
const MAX_CLOSE_REASON_BYTES = 123;

/**
 * The most PONGs within `PING_AFTER_MS`. Whoever looks after a silent peer asks once in that time; one that asks on and on and reads
 * no answer would fill a transport that is never full, as workerd's is.
 */
const MOST_PONGS = 10;

export class Session {
  readonly #transport: Transport;
  readonly #options: SessionOptions;
  readonly #budget: Budget;
  readonly #proof: Proof;
  readonly #host: Host;
  readonly #writer = new MessageWriter();
  readonly #flush = (): void => {
    this.#scheduled = false;
    this.flush();
  };
  #mux: Mux<Exchange>;
  #peer: Hello | undefined;
  /** Our HELLO is out for the time the peer knows of. */
  #greeted = false;
  /** We have forgotten what came before: frames are of that time until the peer's HELLO. */
  #forgotten = false;
  #draining = false;
  #error: TunnelError | undefined;
  #scheduled = false;
  #rttMs: number | undefined;
  #askedMs = 0;
  #pingToken = 0;
  #pongs = 0;
  #pongsSinceMs = 0;
  #heardMs: number;

  constructor(transport: Transport, options: SessionOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#budget = options.budget ?? new Budget();
    this.#proof = new Proof(options.random);
    this.#heardMs = transport.now();
    this.#mux = this.#newMux();
    this.#host = {
      now: () => transport.now(),
      rttMs: () => this.#rttMs ?? 0,
      wake: () => this.#wake(),
    };
  }

  /** Whether HELLOs were exchanged and neither end is draining or gone: `open()` may work. */
  get ready(): boolean {
    return this.#peer !== undefined && this.#error === undefined && !this.#mux.peerDraining;
  }

  /** The peer's latest HELLO. */
  get peer(): Hello | undefined {
    return this.#peer;
  }

  /** Streams that are not over. */
  get streams(): number {
    return this.#mux.size;
  }

  /** Body bytes that arrived and are not consumed, or are written and not sent. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const { inbox, outbox } of this.#mux.streams) {
      bytes += inbox.credit.bufferedBytes + outbox.queuedBytes;
    }
    return bytes;
  }

  /** Memory promised out of the budget, to this peer and others: 0 when nothing is under way. */
  get promisedBytes(): number {
    return this.#budget.usedBytes;
  }

  /** The round trip, once it was measured. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Sends our HELLO: the agent when its socket is open. The opener's goes out by itself. */
  greet(): void {
    this.#greeted = true;
    this.#askedMs = this.#transport.now();
    const { hello, accept } = this.#options;
    // The end that accepts names the session that the other one began: see #receiveHello.
    const session = (accept && this.#peer?.session) ?? hello.session;
    this.#writer.add({ kind: "hello", received: 0, ...hello, session });
    this.#send();
  }

  /**
   * For an opener that has forgotten (hibernation): what it remembers of the peer's HELLO. It may open streams at
   * once; its HELLO goes out before the first.
   */
  resumeGreeted(peer: Hello): void {
    this.#peer = peer;
    this.#forget();
  }

  /** Takes one message of the WebSocket. The peer's fault ends the session; only a fault of our own is thrown. */
  receive(message: Uint8Array): void {
    if (this.#error !== undefined) return;
    this.#heardMs = this.#transport.now();
    try {
      for (const frame of readFrames(message)) {
        this.#apply(frame);
        if (this.#isEnded()) return;
      }
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
   * @throws TunnelError `bad-request`, `head-too-large`, `overloaded`, `draining` or `agent-lost`; nothing was sent then.
   */
  open(head: RequestHead): Exchange {
    if (this.#peer === undefined || this.#error !== undefined) throw new TunnelError("agent-lost");
    const fault = requestFault(head);
    if (fault !== undefined) throw new TunnelError("bad-request", fault);
    if (!fitsFrame(head.headers, head.method, head.path)) throw new TunnelError("head-too-large");
    if (this.#mux.exhausted && this.#mux.size === 0) this.#forget();
    if (!this.#greeted) this.greet();
    if (this.#mux.flooded) throw new TunnelError("overloaded", "the agent does not read");
    const now = this.#transport.now();
    // Silence while nothing was open is none: an idle peer has nothing to say.
    if (this.#mux.size === 0) this.#heardMs = now;
    const stream = this.#mux.open(head, now);
    const exchange = new Exchange(this.#mux, stream, this.#host);
    this.#wake();
    return exchange;
  }

  /** Sends what is ready while the transport is not full. */
  flush(): void {
    while (this.#error === undefined && !this.#transport.full && !this.#proof.missing) {
      for (let frame = this.#mux.poll(); frame !== undefined; frame = this.#mux.poll()) {
        if (frame.kind === "pong" && this.#options.random !== undefined && !this.#mayPong())
          continue;
        this.#writer.add(frame);
        if (frame.kind === "data") this.#mux.find(frame.stream)?.owner?.outgoing.notify();
        if (this.#writer.bytes >= MESSAGE_TARGET_BYTES) break;
      }
      if (this.#writer.bytes === 0) return;
      this.#send();
    }
  }

  /** Takes no new streams from now on (GOAWAY); those open go on. */
  drain(note: string): void {
    this.#draining = true;
    this.#mux.drain("draining", note);
    this.#wake();
  }

  /**
   * Liveness, to be called every few seconds while streams are open: asks a silent peer for a sign of life, and ends
   * the session (`agent-stalled`) when none comes.
   */
  tick(): void {
    if (this.#error !== undefined || this.#mux.size === 0) return;
    const now = this.#transport.now();
    const silentMs = now - this.#heardMs;
    if (silentMs >= DEAD_AFTER_MS) {
      this.end("agent-stalled", `nothing was heard for ${Math.round(silentMs / 1000)} s`);
    } else if (silentMs >= PING_AFTER_MS) {
      this.#ping(now);
    }
  }

  /** Ends the session and its WebSocket: every exchange fails with `code`, on both ends. */
  end(code: ErrorCode, note = ""): void {
    if (this.#error !== undefined) return;
    const reason = note === "" ? code : `${code}: ${note}`;
    this.lost(code, note);
    this.#transport.close(4000 + errors[code].wire, clipToBytes(reason, MAX_CLOSE_REASON_BYTES));
  }

  /** The WebSocket is gone: every exchange fails with `code`. */
  lost(code: ErrorCode = "agent-lost", note = ""): void {
    if (this.#error !== undefined) return;
    this.#error = new TunnelError(code, note);
    this.#failAll(this.#error);
    this.#options.ended?.(this.#error);
  }

  /** Begins anew as an opener without streams: what was before, this end no longer knows. */
  #forget(): void {
    this.#forgotten = true;
    this.#greeted = false;
    this.#proof.reset();
    this.#mux = this.#newMux();
    if (this.#peer !== undefined) this.#meet(this.#peer);
  }

  #newMux(): Mux<Exchange> {
    const { accept, hello } = this.#options;
    return new Mux({
      acceptStreams: accept === undefined ? 0 : hello.maxStreams,
      requestCreditBytes: hello.credit,
      budget: this.#budget,
    });
  }

  #apply(frame: Frame): void {
    if (frame.kind === "hello") {
      this.#receiveHello(frame);
    } else if (this.#forgotten) {
      // Of the time before we forgot: it concerns nothing that still exists.
    } else if (this.#peer === undefined) {
      throw new TunnelError("protocol-error", `${frame.kind} before HELLO`);
    } else {
      const event = this.#mux.receive(frame, this.#transport.now());
      if (event !== undefined) this.#dispatch(event);
    }
  }

  #receiveHello(peer: Hello): void {
    const { accept, hello } = this.#options;
    if (accept === undefined) {
      // It answers a HELLO of the time before, and so does what follows it until ours is answered.
      if (this.#forgotten && peer.session !== hello.session) return;
      if (this.#peer !== undefined && !this.#forgotten) {
        throw new TunnelError("protocol-error", "a second HELLO");
      }
      // To a HELLO of ours, theirs is the echo; an agent that has just connected is asked for one.
      if (this.#greeted) this.#sampleRtt();
      else this.greet();
      if (!this.#forgotten) this.#ping(this.#transport.now());
      this.#forgotten = false;
      this.#meet(peer);
    } else if (this.#peer === undefined) {
      this.#sampleRtt();
      this.#meet(peer);
    } else {
      // The opener has forgotten; whatever was under way is lost, and both start anew.
      this.#failAll(new TunnelError("agent-lost", "the edge began a new session"));
      this.#mux = this.#newMux();
      this.#meet(peer);
      this.greet();
      if (this.#draining) this.#mux.drain("draining", "");
    }
    this.#options.greeted?.(peer);
  }

  #meet(peer: Hello): void {
    this.#peer = peer;
    this.#mux.allow(peer.maxStreams, peer.credit);
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
        if (event.token === this.#pingToken) this.#sampleRtt();
        else this.#prove(this.#proof.answered(event.token));
        return;
      default:
        unreachable(event);
    }
  }

  #isEnded(): boolean {
    return this.#error !== undefined;
  }

  #failAll(error: TunnelError): void {
    for (const stream of this.#mux.abandon()) stream.owner?.fail(error);
  }

  #ping(now: number): void {
    // The peer answers the latest PING only: one that asks for proof must not be overtaken.
    if (this.#proof.token === undefined) {
      this.#askedMs = now;
      this.#pingToken++;
    }
    this.#mux.ping(this.#proof.token ?? this.#pingToken);
    this.#wake();
  }

  /** Asks for proof that the peer reads, if there is a token to ask with. */
  #prove(token: number | undefined): void {
    if (token !== undefined) this.#mux.ping(token);
  }

  #mayPong(): boolean {
    const now = this.#transport.now();
    if (now - this.#pongsSinceMs >= PING_AFTER_MS) {
      this.#pongsSinceMs = now;
      this.#pongs = 0;
    }
    return ++this.#pongs <= MOST_PONGS;
  }

  /** Follows the path's shortest round trip at once and longer ones slowly: queues come and go, a path stays. */
  #sampleRtt(): void {
    const sample = this.#transport.now() - this.#askedMs;
    const known = this.#rttMs;
    this.#rttMs = known === undefined || sample < known ? sample : known + (sample - known) / 8;
  }

  #wake(): void {
    if (this.#scheduled || this.#error !== undefined) return;
    this.#scheduled = true;
    this.#transport.schedule(this.#flush);
  }

  #send(): void {
    const message = this.#writer.take((bytes) => this.#transport.allocate(bytes));
    this.#transport.send(message);
    this.#prove(this.#proof.sent(message.length));
  }
}

/** What a chunk may keep alive beside itself: small enough for a chunk on each stream, large enough to copy few. */
const SPARE_BYTES = 4096;

/**
 * The frames of a message. Data is a view into it, and copied only where a reader that stalls would keep more alive
 * than its own bytes: another stream's data, or a buffer much larger than what it is to hold.
 */
function readFrames(message: Uint8Array): Frame[] {
  if (message.length > MAX_MESSAGE_BYTES) {
    throw new TunnelError("frame-too-large", `a message of ${message.length} bytes`);
  }
  const reader = new MessageReader(message);
  const frames: Frame[] = [];
  let dataStream = 0;
  let dataBytes = 0;
  let shared = false;
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
    frames.push(frame);
    if (frame.kind !== "data") continue;
    dataBytes += frame.bytes.length;
    if (dataStream === 0) dataStream = frame.stream;
    else shared ||= frame.stream !== dataStream;
  }
  // The whole buffer counts: ws cuts small messages out of one read of its socket.
  const spareBytes = message.buffer.byteLength - dataBytes;
  if (dataBytes === 0 || (!shared && spareBytes <= dataBytes + SPARE_BYTES)) return frames;
  // Not slice(), which for a Buffer of Node's copies nothing.
  return frames.map((frame) =>
    frame.kind === "data" ? { ...frame, bytes: new Uint8Array(frame.bytes) } : frame,
  );
}

/** `text` cut to at most `bytes` bytes of UTF-8: what is not ASCII is replaced, so characters are bytes. */
function clipToBytes(text: string, bytes: number): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, bytes);
}
