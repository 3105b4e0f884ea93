/**
 * All streams of one session: `receive(frame)` says what happened, `poll()` says what to send next.
 *
 * It never sees bytes of the wire (`wire.ts`), a socket, a promise or a clock: time is an argument. Output is fetched,
 * never called back, so that a shell can batch it and hold it back while its socket is full.
 */
import { unreachable } from "./assert.ts";
import type { Budget } from "./budget.ts";
import { ReceiveCredit, SendCredit } from "./credit.ts";
import { type ErrorCode, TunnelError } from "./errors.ts";
import type { Frame, HeaderList, RequestHead, ResponseHead } from "./frame.ts";
import { isOver } from "./half.ts";
import { Inbox } from "./inbox.ts";
import {
  ALONE_DATA_BYTES,
  MAX_DATA_BYTES,
  MAX_QUEUED_FRAMES,
  MAX_STREAM_ID,
  SHARED_DATA_BYTES,
} from "./limits.ts";
import { Outbox } from "./outbox.ts";
import { Queue } from "./queue.ts";
import { Stream } from "./stream.ts";
import { Turns } from "./turns.ts";

export interface MuxOptions {
  /** How many streams the peer may have open at once; 0 where the peer opens none. */
  readonly acceptStreams: number;
  /** The credit that our HELLO gives the peer for each request body. */
  readonly requestCreditBytes: number;
  readonly budget: Budget;
}

/** What a received frame changed, for whoever speaks for the stream. */
export type MuxEvent<Owner> =
  | { readonly kind: "opened"; readonly stream: Stream<Owner> }
  | { readonly kind: "answered"; readonly stream: Stream<Owner>; readonly head: ResponseHead }
  /** The incoming body has something new: data, or its end. */
  | { readonly kind: "arrived"; readonly stream: Stream<Owner> }
  /** There is new credit for the outgoing body. */
  | { readonly kind: "credited"; readonly stream: Stream<Owner> }
  | {
      readonly kind: "cancelled";
      readonly stream: Stream<Owner>;
      readonly code: ErrorCode;
      readonly note: string;
    }
  | { readonly kind: "draining"; readonly code: ErrorCode; readonly note: string }
  | { readonly kind: "ponged"; readonly token: number };

export class Mux<Owner> {
  readonly budget: Budget;
  readonly #options: MuxOptions;
  readonly #streams = new Map<number, Stream<Owner>>();
  readonly #turns = new Turns<Stream<Owner>>();
  /** Heads, cancels and the like: they go before any data. */
  readonly #control = new Queue<Frame>();
  /** Streams with credit to give; the sum waits in the inbox, so that a slow socket never queues many frames. */
  readonly #credits = new Queue<Stream<Owner>>();
  #pong: number | undefined;
  #unanswered = 0;
  #highestId = 0;
  /** The last stream of ours whose REQUEST was fetched by `poll()`. */
  #announcedId = 0;
  #peerStreams = 0;
  #peerRequestCreditBytes = 0;
  #peerDraining = false;
  #draining = false;

  constructor(options: MuxOptions) {
    this.#options = options;
    this.budget = options.budget;
  }

  /** What the peer's HELLO allows us. */
  allow(maxStreams: number, requestCreditBytes: number): void {
    this.#peerStreams = maxStreams;
    this.#peerRequestCreditBytes = requestCreditBytes;
  }

  /** Streams that are not over. */
  get size(): number {
    return this.#streams.size;
  }

  /** Those that we opened and whose answer has not begun. */
  get unanswered(): number {
    return this.#unanswered;
  }

  find(id: number): Stream<Owner> | undefined {
    return this.#streams.get(id);
  }

  get streams(): IterableIterator<Stream<Owner>> {
    return this.#streams.values();
  }

  /** Whether one of the ends has said that it wants no new streams. */
  get draining(): boolean {
    return this.#draining || this.#peerDraining;
  }

  /** Whether the peer waits for a PONG. */
  get asked(): boolean {
    return this.#pong !== undefined;
  }

  /** Whether all stream ids are used up: the session has to begin anew before the next stream. */
  get exhausted(): boolean {
    return this.#highestId >= MAX_STREAM_ID;
  }

  /** Whether the peer makes us queue frames faster than it reads them, beyond what honest use needs. */
  get flooded(): boolean {
    return this.#control.length > MAX_QUEUED_FRAMES;
  }

  /**
   * Opens a stream with a request.
   * @throws TunnelError `draining` or `overloaded`: nothing was sent, so the request may go elsewhere.
   */
  open(head: RequestHead, nowMs: number): Stream<Owner> {
    if (this.draining || this.exhausted) throw new TunnelError("draining");
    if (this.#streams.size >= this.#peerStreams) {
      throw new TunnelError("overloaded", `${this.#peerStreams} streams are open`);
    }
    const windowBytes = this.budget.admit();
    if (windowBytes === 0) throw new TunnelError("overloaded", "the memory budget is used up");
    const inbox = new Inbox(new ReceiveCredit(this.budget, windowBytes, nowMs));
    const outbox = new Outbox(new SendCredit(this.#peerRequestCreditBytes));
    const stream = new Stream<Owner>(++this.#highestId, head, inbox, outbox);
    outbox.announce(head.length);
    this.#streams.set(stream.id, stream);
    stream.unanswered = true;
    this.#unanswered++;
    this.#queue({ kind: "request", stream: stream.id, credit: windowBytes, head });
    return stream;
  }

  /** Answers a stream that the peer opened. */
  respond(stream: Stream<Owner>, head: ResponseHead): void {
    if (stream.outbox.state === "cancelled") return;
    stream.outbox.announce(head.length);
    this.#queue({ kind: "response", stream: stream.id, head });
    if (stream.inbox.state === "cancelled") this.#concludeDeclined(stream);
    this.#forgetIfOver(stream);
  }

  /**
   * Queues body bytes; they are not copied. After a cancel they are dropped. False: there are more than the head
   * announced, and the stream was cancelled for it.
   */
  write(stream: Stream<Owner>, bytes: Uint8Array): boolean {
    if (stream.outbox.state === "cancelled" || bytes.length === 0) return true;
    stream.outbox.put(bytes);
    if (stream.outbox.overfull) {
      this.cancel(stream, "body-mismatch", "more was written than the head announced");
      return false;
    }
    if (stream.sendable) this.#turns.add(stream);
    return true;
  }

  /** All of the body is written. False: it is less than the head announced, and the stream was cancelled for it. */
  end(stream: Stream<Owner>, trailers: HeaderList): boolean {
    if (stream.outbox.state === "cancelled") return true;
    if (!stream.outbox.whole) {
      this.cancel(stream, "body-mismatch", "less was written than the head announced");
      return false;
    }
    stream.outbox.close(trailers);
    if (stream.sendable) this.#turns.add(stream);
    return true;
  }

  /** Takes the next chunk of the incoming body; the chunk taken before counts as consumed. */
  read(stream: Stream<Owner>, nowMs: number, rttMs: number): Uint8Array | undefined {
    const chunk = stream.inbox.take(nowMs, rttMs);
    if (stream.inbox.dueBytes > 0 && !stream.creditListed) {
      stream.creditListed = true;
      this.#credits.push(stream);
    }
    return chunk;
  }

  /** Ends both halves that are not over, here and at the peer, and frees what they hold. */
  cancel(stream: Stream<Owner>, code: ErrorCode, note: string): void {
    if (!stream.over) {
      this.#queue({ kind: "cancel", stream: stream.id, code, note });
    }
    this.#close(stream);
    stream.inbox.discard();
  }

  /**
   * The rest of the body that arrives is not needed, though the one that leaves goes on: what is here is dropped, and
   * once the END of the other is out the peer is told to stop.
   */
  decline(stream: Stream<Owner>): void {
    const over = isOver(stream.inbox.state);
    stream.inbox.discard();
    if (!over) this.#concludeDeclined(stream);
  }

  /** Whether the peer cannot have heard of a stream that we opened: its REQUEST still waits here. */
  unheard(stream: Stream<Owner>): boolean {
    return stream.id > this.#announcedId;
  }

  /** The session is over: ends everything without a word to the peer. Returns what was not over. */
  abandon(): Stream<Owner>[] {
    const streams = [...this.#streams.values()];
    for (const stream of streams) this.#close(stream);
    return streams;
  }

  /** Takes no new streams from now on; those open go on. */
  drain(code: ErrorCode, note: string): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#queue({ kind: "goaway", last: this.#highestId, code, note });
  }

  ping(token: number): void {
    this.#queue({ kind: "ping", token });
  }

  /**
   * Applies a frame of the peer.
   * @throws TunnelError with a code that ends the session: the peer's fault.
   */
  receive(frame: Exclude<Frame, { kind: "hello" }>, nowMs: number): MuxEvent<Owner> | undefined {
    switch (frame.kind) {
      case "request":
        return this.#accept(frame.stream, frame.credit, frame.head, nowMs);
      case "response": {
        const stream = this.#lookUp(frame.stream, "RESPONSE");
        if (stream === undefined) return undefined;
        if (frame.head.length === "socket" && stream.request.length !== "socket") {
          throw new TunnelError("protocol-error", `stream ${stream.id} asked for no WebSocket`);
        }
        this.#advance(stream, "head");
        this.#answered(stream);
        stream.inbox.expect(frame.head.length);
        this.#forgetIfOver(stream);
        return { kind: "answered", stream, head: frame.head };
      }
      case "data": {
        const stream = this.#lookUp(frame.stream, "DATA");
        if (stream === undefined) return undefined;
        this.#advance(stream, "data");
        if (stream.inbox.state === "cancelled") return undefined;
        const fault = stream.inbox.put(frame.bytes);
        if (fault === "body-mismatch") {
          return this.#fail(stream, fault, "more arrived than the head announced");
        }
        if (fault !== undefined) throw new TunnelError(fault, `stream ${stream.id}`);
        return { kind: "arrived", stream };
      }
      case "end": {
        const stream = this.#lookUp(frame.stream, "END");
        if (stream === undefined) return undefined;
        if (stream.inbox.state === "open" && !stream.inbox.whole) {
          return this.#fail(stream, "body-mismatch", "less arrived than the head announced");
        }
        this.#advance(stream, "end");
        if (stream.inbox.state === "cancelled") return undefined;
        stream.inbox.finish(frame.trailers);
        this.#forgetIfOver(stream);
        return { kind: "arrived", stream };
      }
      case "cancel": {
        const stream = this.#lookUp(frame.stream, "CANCEL");
        if (stream === undefined) return undefined;
        this.#close(stream);
        return { kind: "cancelled", stream, code: frame.code, note: frame.note };
      }
      case "credit": {
        const stream = this.#lookUp(frame.stream, "CREDIT");
        if (stream === undefined) return undefined;
        if (!stream.outbox.credit.add(frame.bytes)) {
          throw new TunnelError("flow-control-error", `credit of stream ${stream.id} overflows`);
        }
        if (stream.sendable) this.#turns.add(stream);
        return { kind: "credited", stream };
      }
      case "ping":
        this.#pong = frame.token;
        return undefined;
      case "pong":
        return { kind: "ponged", token: frame.token };
      case "goaway":
        this.#peerDraining = true;
        return { kind: "draining", code: frame.code, note: frame.note };
      case "ack":
        return undefined;
      default:
        return unreachable(frame);
    }
  }

  /**
   * The next frame to send: control first, then data by turns. Undefined when there is nothing to send now. A PONG that
   * may not go yet is kept.
   */
  poll(mayPong = true): Frame | undefined {
    if (this.#pong !== undefined && mayPong) {
      const token = this.#pong;
      this.#pong = undefined;
      return { kind: "pong", token };
    }
    const control = this.#control.shift();
    if (control !== undefined) {
      if (control.kind === "request") this.#announcedId = control.stream;
      return control;
    }
    for (let stream = this.#credits.shift(); stream; stream = this.#credits.shift()) {
      stream.creditListed = false;
      const bytes = stream.inbox.dueBytes;
      stream.inbox.dueBytes = 0;
      if (bytes > 0) return { kind: "credit", stream: stream.id, bytes };
    }
    return this.#pollBody();
  }

  #pollBody(): Frame | undefined {
    const stream = this.#turns.current();
    if (stream === undefined) return undefined;
    const { outbox } = stream;
    const trailers = outbox.ending;
    if (trailers !== undefined) {
      outbox.advance("end");
      if (stream.inbox.state === "cancelled") this.#concludeDeclined(stream);
      this.#forgetIfOver(stream);
      return { kind: "end", stream: stream.id, trailers };
    }
    // A receiver gives credit back frame by frame: a frame that is most of a small window would leave the path empty.
    const share = Math.max(SHARED_DATA_BYTES, Math.ceil(outbox.credit.bytes / 4));
    // A chunk with room in front goes out where it lies if it goes out whole.
    const { frameBytes } = this.#turns;
    const most = outbox.headroom && frameBytes === ALONE_DATA_BYTES ? MAX_DATA_BYTES : frameBytes;
    const bytes = outbox.cut(Math.min(most, share));
    this.#turns.sent(bytes.length);
    return outbox.headroom
      ? { kind: "data", stream: stream.id, bytes, headroom: true }
      : { kind: "data", stream: stream.id, bytes };
  }

  #accept(
    id: number,
    credit: number,
    head: RequestHead,
    nowMs: number,
  ): MuxEvent<Owner> | undefined {
    if (this.#options.acceptStreams === 0) {
      throw new TunnelError("protocol-error", "REQUEST from the end that answers requests");
    }
    if (id <= this.#highestId) {
      throw new TunnelError("protocol-error", `stream ${id} was opened after ${this.#highestId}`);
    }
    this.#highestId = id;
    const windowBytes = head.length === "none" ? 0 : this.#options.requestCreditBytes;
    const refusal: ErrorCode | undefined = this.#draining
      ? "draining"
      : this.#streams.size >= this.#options.acceptStreams || !this.budget.reserve(windowBytes)
        ? "overloaded"
        : undefined;
    if (refusal !== undefined) {
      this.#queue({ kind: "cancel", stream: id, code: refusal, note: "" });
      return undefined;
    }
    const inbox = new Inbox(new ReceiveCredit(this.budget, windowBytes, nowMs));
    inbox.advance("head");
    inbox.expect(head.length);
    const stream = new Stream<Owner>(id, head, inbox, new Outbox(new SendCredit(credit)));
    this.#streams.set(id, stream);
    return { kind: "opened", stream };
  }

  /** The stream of a frame; undefined when it is over, and what still arrives for it is dropped. */
  #lookUp(id: number, what: string): Stream<Owner> | undefined {
    const stream = this.#streams.get(id);
    if (stream === undefined && id > this.#highestId) {
      throw new TunnelError("protocol-error", `${what} for stream ${id}, which was never opened`);
    }
    return stream;
  }

  #advance(stream: Stream<Owner>, input: "head" | "data" | "end"): void {
    const was = stream.inbox.state;
    if (!stream.inbox.advance(input)) {
      throw new TunnelError("protocol-error", `${input} for a half of ${stream.id} that is ${was}`);
    }
  }

  /** The peer broke a rule of one stream: it ends on both ends. */
  #fail(stream: Stream<Owner>, code: ErrorCode, note: string): MuxEvent<Owner> {
    this.#queue({ kind: "cancel", stream: stream.id, code, note });
    stream.inbox.discard();
    this.#close(stream);
    return { kind: "cancelled", stream, code, note };
  }

  /** Ends what is not over yet. A body that ended well stays readable. */
  #close(stream: Stream<Owner>): void {
    stream.outbox.discard();
    if (stream.inbox.state !== "ended") stream.inbox.discard();
    this.#forget(stream);
  }

  #concludeDeclined(stream: Stream<Owner>): void {
    if (!isOver(stream.outbox.state)) return;
    this.#queue({ kind: "cancel", stream: stream.id, code: "not-needed", note: "" });
    this.#forget(stream);
  }

  #forgetIfOver(stream: Stream<Owner>): void {
    if (stream.over) this.#forget(stream);
  }

  #forget(stream: Stream<Owner>): void {
    this.#answered(stream);
    this.#streams.delete(stream.id);
  }

  /** Nobody waits for the beginning of its answer any more. */
  #answered(stream: Stream<Owner>): void {
    if (!stream.unanswered) return;
    stream.unanswered = false;
    this.#unanswered--;
  }

  #queue(frame: Frame): void {
    this.#control.push(frame);
  }
}
