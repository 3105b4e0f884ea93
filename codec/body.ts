/**
 * The two bodies of an exchange as a shell meets them: bytes to take, bytes to write, and a promise when it must wait.
 */
import { assert } from "./assert.ts";
import { TunnelError } from "./errors.ts";
import type { HeaderList } from "./frame.ts";
import { fitsFrame, headersFault } from "./head.ts";
import { OUTBOX_BYTES } from "./limits.ts";
import type { Mux } from "./mux.ts";
import type { Stream } from "./stream.ts";

/** What bodies need of the session that carries them. */
export interface Host {
  /** The session's name. */
  readonly session: string;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** The session's round trip; 0 while it is not known. */
  rttMs(): number;
  /** Something may have become ready to send. */
  wake(): void;
}

const settled = Promise.resolve();

/** A promise for one waiter at a time, made only when somebody waits. */
class Waiter {
  #pending: PromiseWithResolvers<void> | undefined;

  wait(): Promise<void> {
    assert(this.#pending === undefined, "a body has one reader and one writer");
    this.#pending = Promise.withResolvers();
    return this.#pending.promise;
  }

  get waiting(): boolean {
    return this.#pending !== undefined;
  }

  resolve(): void {
    this.#pending?.resolve();
    this.#pending = undefined;
  }

  reject(error: TunnelError): void {
    this.#pending?.reject(error);
    this.#pending = undefined;
  }
}

/** The body that arrives: the answer's at the edge, the request's at the agent. */
export class IncomingBody<Owner = unknown> implements AsyncIterable<Uint8Array> {
  readonly #mux: Mux<Owner>;
  readonly #stream: Stream<Owner>;
  readonly #host: Host;
  readonly #reader = new Waiter();
  #error: TunnelError | undefined;

  constructor(mux: Mux<Owner>, stream: Stream<Owner>, host: Host) {
    this.#mux = mux;
    this.#stream = stream;
    this.#host = host;
  }

  /**
   * The next chunk, or undefined when none is here now. The chunk taken before counts as consumed from now on and its
   * credit goes back, so at most one chunk is with the reader.
   */
  take(): Uint8Array | undefined {
    if (this.#error !== undefined) return undefined;
    const chunk = this.#mux.read(this.#stream, this.#host.now(), this.#host.rttMs());
    if (this.#stream.creditListed) this.#host.wake();
    return chunk;
  }

  /** Whether every byte was taken and the sender ended the body well. */
  get ended(): boolean {
    return this.#error === undefined && this.#stream.inbox.drained;
  }

  /** Whether the whole body is here: a small answer can be used without a stream. */
  get complete(): boolean {
    return this.#error === undefined && this.#stream.inbox.state === "ended";
  }

  /** Bytes that have arrived and are not consumed. */
  get bufferedBytes(): number {
    return this.#stream.inbox.credit.bufferedBytes;
  }

  /** The trailer fields, once `ended`. */
  get trailers(): HeaderList {
    return this.#stream.inbox.trailers;
  }

  /**
   * Resolves when `take()` would give a chunk or the body has ended. One waiter at a time.
   * @throws TunnelError (as rejection) that cut the body.
   */
  ready(): Promise<void> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    const { inbox } = this.#stream;
    if (inbox.readable || inbox.drained) return settled;
    // Nothing is here, but the reader has come back: the credit of its last chunk may be what the sender waits for.
    this.take();
    return this.#reader.wait();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const chunk = this.take();
      if (chunk !== undefined) yield chunk;
      else if (this.ended) return;
      else await this.ready();
    }
  }

  /** Nobody needs the rest. The body that leaves goes on; the sender is told to stop once that has ended. */
  decline(): void {
    // A body that has been read to its end stays what it is; one that is here unread would keep its memory for good.
    if (this.#error !== undefined || (this.ended && this.bufferedBytes === 0)) return;
    this.drop(new TunnelError("not-needed"));
    this.#mux.decline(this.#stream);
    this.#host.wake();
  }

  /** Called by the exchange: something arrived. */
  notify(): void {
    this.#reader.resolve();
  }

  /** Called by the exchange: what is not here yet will not come. A body that ended well stays readable. */
  fail(error: TunnelError): void {
    if (this.#stream.inbox.state !== "ended") this.drop(error);
  }

  /** Called by the exchange: nobody will read on. */
  drop(error: TunnelError): void {
    this.#error = error;
    this.#reader.reject(error);
  }
}

/** The body that leaves: the request's at the edge, the answer's at the agent. */
export class OutgoingBody<Owner = unknown> {
  readonly #mux: Mux<Owner>;
  readonly #stream: Stream<Owner>;
  readonly #host: Host;
  readonly #mismatched: () => void;
  readonly #writer = new Waiter();
  #error: TunnelError | undefined;

  /** `mismatched` is called when the body is not what its head announced: the stream is cancelled then. */
  constructor(mux: Mux<Owner>, stream: Stream<Owner>, host: Host, mismatched: () => void) {
    this.#mux = mux;
    this.#stream = stream;
    this.#host = host;
    this.#mismatched = mismatched;
  }

  /**
   * A promise of the writer: whatever it writes at the offset HEADROOM_BYTES of a buffer is alone in that buffer, which
   * nobody looks at again. Then a message can be made of it where it lies, without a copy.
   */
  set headroom(given: boolean) {
    this.#stream.outbox.headroom = given;
  }

  /**
   * Queues bytes, which are not copied and must be left alone afterwards. Returns whether more may follow at once;
   * when not, wait for `ready()`. After a cancel the bytes are dropped.
   */
  write(bytes: Uint8Array): boolean {
    if (this.#error !== undefined) return false;
    if (!this.#mux.write(this.#stream, bytes)) {
      this.#mismatched();
      return false;
    }
    this.#host.wake();
    return this.#writable(OUTBOX_BYTES);
  }

  /**
   * All is written. When the head's length was exact and the bytes differ, the exchange is cancelled: `body-mismatch`.
   * Trailers that are illegal or too large are left out, as RFC 9110 section 6.5.1 allows.
   */
  end(trailers: HeaderList = []): void {
    if (this.#error !== undefined) return;
    const legal = headersFault(trailers) === undefined && fitsFrame(trailers);
    if (!this.#mux.end(this.#stream, legal ? trailers : [])) this.#mismatched();
    this.#host.wake();
  }

  /** Bytes written that have not had credit or their turn yet. */
  get queuedBytes(): number {
    return this.#stream.outbox.queuedBytes;
  }

  /** Bytes that the peer lets us send beyond what has left: the window, as far as it is open. */
  get creditBytes(): number {
    return this.#stream.outbox.credit.bytes;
  }

  /**
   * Resolves when more may be written: the queue is half empty, and the peer has given credit for more than is in it. One waiter at a time.
   * @throws TunnelError (as rejection) that ended the stream.
   */
  ready(): Promise<void> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    return this.#writable(OUTBOX_BYTES / 2) ? settled : this.#writer.wait();
  }

  #writable(mostQueuedBytes: number): boolean {
    const { outbox } = this.#stream;
    return outbox.queuedBytes < Math.min(mostQueuedBytes, outbox.credit.bytes);
  }

  /** Called by the exchange: credit came, or queued bytes went out. */
  notify(): void {
    if (this.#writer.waiting && this.#writable(OUTBOX_BYTES / 2)) this.#writer.resolve();
  }

  /** Called by the exchange: nothing more can be sent. */
  fail(error: TunnelError): void {
    this.#error = error;
    this.#writer.reject(error);
  }
}
