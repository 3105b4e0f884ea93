/**
 * The agent's end of one socket after the other: greets on each, goes on with its session where the edge still knows it,
 * and begins another where it does not.
 *
 * It opens no sockets (the shell does) and knows no requests beyond handing them over.
 */
import type { Budget } from "./budget.ts";
import { closeOf, endOf, type ErrorCode, TunnelError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Hello } from "./frame.ts";
import { type Introduction, isHello, readHello, writeHello } from "./greeting.ts";
import { AGENT_RETAIN_BYTES } from "./limits.ts";
import { Session } from "./session.ts";
import type { Platform, Transport } from "./transport.ts";

export interface DialerOptions {
  readonly platform: Platform;
  readonly introduction: Introduction;
  readonly accept: (exchange: Exchange) => void;
  /** HELLOs were exchanged: requests may come. `resumed`: the session of before goes on. */
  readonly connected: (session: Session, resumed: boolean) => void;
  /** The edge takes no more of us, and says why. */
  readonly draining: (code: ErrorCode, note: string) => void;
  /** What request bodies may use: agents with several dialers have one memory. */
  readonly budget?: Budget;
  /** The most bytes to keep of what the edge has not acknowledged: `AGENT_RETAIN_BYTES` when left out. */
  readonly retainBytes?: number;
}

export class Dialer {
  readonly #options: DialerOptions;
  #session: Session | undefined;
  #transport: Transport | undefined;
  #greetedMs = 0;
  /** What the latest greeting took. */
  #rttMs = 0;
  /** Whether the edge has answered on the present transport. */
  #greeted = false;
  #drain: string | undefined;
  #endGrace: (() => void) | undefined;
  /** The session that ended last. */
  #endedId: string | undefined;

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  /** The session, with or without a socket. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** Whether the edge has answered on the present transport. */
  get greeted(): boolean {
    return this.#greeted;
  }

  /** Streams that are not over. */
  get streams(): number {
    return this.#session?.streams ?? 0;
  }

  /** A socket is open: greets on it. */
  open(transport: Transport): void {
    const { platform, introduction } = this.#options;
    this.#transport = transport;
    this.#greeted = false;
    this.#greetedMs = platform.now();
    const { id = "", received = 0 } = this.#session ?? {};
    transport.send(writeHello(introduction, id, received));
  }

  /** A message has arrived. The peer's fault ends the session; only a fault of our own is thrown. */
  receive(transport: Transport, message: Uint8Array): void {
    if (transport !== this.#transport) return;
    try {
      if (!this.#greeted || isHello(message)) this.#greet(transport, readHello(message));
      else this.#session?.receive(message, transport);
    } catch (error) {
      if (!(error instanceof TunnelError)) throw error;
      this.end(error.code, error.note);
    }
  }

  /** The socket is gone. `code` and `reason` are those of its close frame; 1006 when there was none. */
  lost(transport: Transport, code: number, reason: string): void {
    if (transport !== this.#transport) return;
    this.#transport = undefined;
    this.#greeted = false;
    const session = this.#session;
    if (session === undefined) return;
    const said = endOf(code);
    if (said !== undefined) {
      session.lost(said, reason);
      return;
    }
    session.detach();
    // From when on the edge counts nobody knows; it cannot be before it has heard the last of us.
    this.#endGrace ??= this.#options.platform.after(session.peer?.grace ?? 0, () =>
      session.lost("agent-lost", "the edge could not be reached in time"),
    );
  }

  /** Takes no new requests from now on; those in flight go on. */
  drain(note: string): void {
    this.#drain = note;
    this.#session?.drain("draining", note);
  }

  /** Ends everything: what is in flight fails, on both ends. */
  end(code: ErrorCode, note: string): void {
    const transport = this.#transport;
    if (this.#session?.transport !== undefined) this.#session.end(code, note);
    else this.#session?.lost(code, note);
    const close = closeOf(code, note);
    transport?.close(close.code, close.reason);
  }

  #greet(transport: Transport, hello: Hello): void {
    const { platform, introduction, connected } = this.#options;
    // The edge does not know yet that it has ended, and took us for one that never heard of it: what it sent would be served twice.
    if (hello.session === this.#endedId) {
      this.end("agent-lost", "that session has ended here");
      return;
    }
    const again = this.#greeted;
    // A HELLO that the edge says again answers none of ours, and tells nothing of the path.
    if (!again) this.#rttMs = platform.now() - this.#greetedMs;
    const resumed = !again && hello.session === this.#session?.id;
    if (!resumed) {
      // It was reset, or has slept: whatever was under way is lost there, and has to end here.
      this.#session?.lost("agent-lost", "the edge began a new session");
      this.#session = this.#newSession(hello.session);
      if (again) transport.send(writeHello(introduction, hello.session, 0));
    }
    const session = this.#session;
    if (session === undefined) return;
    this.#endGrace?.();
    this.#endGrace = undefined;
    if (!session.join(transport, hello, this.#rttMs)) {
      throw new TunnelError("protocol-error", `${hello.received} messages were never sent`);
    }
    this.#greeted = true;
    if (!resumed && this.#drain !== undefined) session.drain("draining", this.#drain);
    if (!again) connected(session, resumed);
  }

  #newSession(id: string): Session {
    const { platform, introduction, accept, draining, budget, retainBytes } = this.#options;
    const session = new Session(platform, {
      id,
      introduction,
      accept,
      draining,
      retainBytes: retainBytes ?? AGENT_RETAIN_BYTES,
      ...(budget === undefined ? {} : { budget }),
      ended: () => {
        this.#endedId = id;
        if (this.#session !== session) return;
        this.#session = undefined;
        this.#endGrace?.();
        this.#endGrace = undefined;
      },
    });
    return session;
  }
}
