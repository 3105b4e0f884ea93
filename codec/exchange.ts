/**
 * One request and its answer, as promises and bodies: the face that both shells use. The same class serves both ends;
 * the end that opened it waits for `answer()`, the other calls `respond()`.
 */
import { IncomingBody, type Host, OutgoingBody } from "./body.ts";
import { type ErrorCode, TunnelError } from "./errors.ts";
import type { HeaderList, RequestHead, ResponseHead } from "./frame.ts";
import { fitsFrame, responseFault } from "./head.ts";
import type { Mux } from "./mux.ts";
import { requestId } from "./request-id.ts";
import type { Stream } from "./stream.ts";

export class Exchange {
  /** The body that arrives: the answer's at the edge, the request's at the agent. */
  readonly incoming: IncomingBody<Exchange>;
  /** The body that leaves: the request's at the edge, the answer's at the agent. */
  readonly outgoing: OutgoingBody<Exchange>;
  /**
   * Called once when the peer cancelled or the session ended; not for a `cancel()` of our own, and not when both
   * halves had ended well. Set it in the turn in which the exchange was got.
   */
  onCancel: ((error: TunnelError) => void) | undefined;

  /** Fields of the tunnel's own that go with the answer's head, asked for when it leaves. */
  onRespond: (() => HeaderList) | undefined;

  readonly #mux: Mux<Exchange>;
  readonly #stream: Stream<Exchange>;
  readonly #host: Host;
  #head: ResponseHead | undefined;
  #answer: PromiseWithResolvers<ResponseHead> | undefined;
  #error: TunnelError | undefined;
  #id: string | undefined;

  constructor(mux: Mux<Exchange>, stream: Stream<Exchange>, host: Host) {
    this.#mux = mux;
    this.#stream = stream;
    this.#host = host;
    this.incoming = new IncomingBody(mux, stream, host);
    this.outgoing = new OutgoingBody(mux, stream, host, () => this.cancel("body-mismatch"));
    stream.owner = this;
  }

  /** The stream's id: unique within a session. */
  get stream(): number {
    return this.#stream.id;
  }

  /** The request's name, the same at both ends: see `request-id.ts`. Made when it is asked for. */
  get id(): string {
    return (this.#id ??= requestId(this.request, this.#host.session, this.#stream.id));
  }

  get request(): RequestHead {
    return this.#stream.request;
  }

  /** What ended the exchange early, if anything did. */
  get error(): TunnelError | undefined {
    return this.#error;
  }

  /**
   * The answer's head. What the same message brought of the body is in `incoming` by then: a small answer is complete.
   * @throws TunnelError (as rejection) when the exchange ends before.
   */
  answer(): Promise<ResponseHead> {
    if (this.#head !== undefined) return Promise.resolve(this.#head);
    if (this.#error !== undefined) return Promise.reject(this.#error);
    this.#answer ??= Promise.withResolvers();
    return this.#answer.promise;
  }

  /** Sends the answer's head. An illegal or oversized one is the origin's fault: it cancels with `origin-invalid`. */
  respond(answer: ResponseHead): void {
    if (this.#error !== undefined) return;
    const own = this.onRespond?.();
    const head = own === undefined ? answer : { ...answer, headers: [...answer.headers, ...own] };
    const unasked = head.length === "socket" && this.request.length !== "socket";
    const fault =
      responseFault(head) ??
      (unasked ? "a WebSocket that nobody asked for" : undefined) ??
      (fitsFrame(head.headers, head.reason) ? undefined : "the answer's head is too large");
    if (fault !== undefined) {
      this.cancel("origin-invalid", fault);
      return;
    }
    this.#mux.respond(this.#stream, head);
    this.#host.wake();
  }

  /** Ends both halves that are not over, on both ends, and drops what is unread. Idempotent. */
  cancel(code: ErrorCode, note = ""): void {
    if (this.#error === undefined) {
      const error = new TunnelError(code, note);
      this.#error = error;
      this.#answer?.reject(error);
      this.incoming.drop(error);
      this.outgoing.fail(error);
    }
    this.#mux.cancel(this.#stream, code, note);
    this.#host.wake();
  }

  /** Called by the session: the answer's head arrived. */
  answered(head: ResponseHead): void {
    this.#head = head;
    this.#answer?.resolve(head);
  }

  /** Called by the session: the peer or the loss of the session ended what was not over. */
  fail(error: TunnelError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#answer?.reject(error);
    this.incoming.fail(error);
    this.outgoing.fail(error);
    this.onCancel?.(error);
  }
}
