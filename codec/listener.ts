/**
 * The edge's end of all sockets of one service: which session a socket carries, which sessions wait for another socket,
 * and when waiting is over.
 *
 * It knows sockets only as transports, agents only by the identity that the shell has authenticated, and no requests.
 */
import { closeOf, endOf, type ErrorCode, TunnelError } from "./errors.ts";
import type { Hello } from "./frame.ts";
import { isHello, readHello } from "./greeting.ts";
import { HELLO_WITHIN_MS } from "./limits.ts";
import type { Session } from "./session.ts";
import type { Platform, Transport } from "./transport.ts";

/**
 * The close code of a socket that is of no use though its agent did nothing wrong (RFC 6455 section 7.4.1). A code of the
 * error table would end the agent's session, which may be the very one that is to go on: a dial that was given up can
 * arrive behind the next one.
 */
const GOING_AWAY = 1001;

/** One agent, for as long as its session lasts. */
export interface Member<T extends Transport> {
  /** Who it is; whoever opens another socket with the same identity can go on with its session. */
  readonly identity: string;
  readonly session: Session;
  /** Its latest socket. */
  transport: T;
  /** The same agent has begun another session since: this one only finishes what it has. */
  eclipsed: boolean;
}

/** A socket. */
interface Caller<T extends Transport> {
  readonly identity: string;
  /** Set by the HELLO. */
  member: Member<T> | undefined;
  /** Stops waiting for the HELLO. */
  readonly hush: () => void;
}

export interface ListenerOptions<T extends Transport> {
  readonly platform: Platform;
  /** How long a session is kept after its socket was lost. */
  readonly graceMs: number;
  /** Makes the session of an agent; `ended` is to be called when it has ended. */
  readonly newSession: (identity: string, ended: (error: TunnelError) => void) => Session;
  /** An agent has greeted on a socket: its requests may go on, and new ones come. */
  readonly greeted: (member: Member<T>, hello: Hello) => void;
  /** A session has ended. */
  readonly left: (member: Member<T>) => void;
}

export class Listener<T extends Transport> {
  readonly #options: ListenerOptions<T>;
  readonly #callers = new Map<T, Caller<T>>();
  /** By session id, in order of their latest greeting. */
  readonly #members = new Map<string, Member<T>>();
  /** Ends the grace of a session without a socket. */
  readonly #graces = new Map<Session, () => void>();

  constructor(options: ListenerOptions<T>) {
    this.#options = options;
  }

  /** Sessions, with and without a socket, the latest greeted last. */
  get members(): IterableIterator<Member<T>> {
    return this.#members.values();
  }

  /** How many sessions there are, and sockets that have not greeted. */
  get size(): number {
    let size = this.#members.size;
    for (const { member } of this.#callers.values()) if (member === undefined) size++;
    return size;
  }

  /** Whether there is a session of `identity`: its next socket takes the place of one that is here. */
  knows(identity: string): boolean {
    for (const member of this.#members.values()) if (member.identity === identity) return true;
    return false;
  }

  /** Whether an agent may be ready in a moment: a socket that has not greeted, or a session that waits for one. */
  get expecting(): boolean {
    if (this.#graces.size > 0) return true;
    for (const { member } of this.#callers.values()) if (member === undefined) return true;
    return false;
  }

  /** A socket was accepted, and `identity` is who opened it. */
  accept(transport: T, identity: string): void {
    // One process opens one socket at a time: a HELLO that is still on its way over an earlier one must not win later.
    for (const [other, caller] of this.#callers) {
      if (caller.identity === identity && caller.member === undefined) {
        this.#hangUp(other, GOING_AWAY, "another socket of the same agent came");
      }
    }
    const hush = this.#options.platform.after(HELLO_WITHIN_MS, () =>
      this.#hangUp(transport, GOING_AWAY, "no HELLO in time"),
    );
    this.#callers.set(transport, { identity, member: undefined, hush });
  }

  /** A socket has outlived our memory: `hello` is what its agent said before we slept. */
  revive(transport: T, identity: string, hello: Hello): void {
    const member = this.#newMember(transport, identity);
    this.#callers.set(transport, { identity, member, hush: () => {} });
    member.session.wake(transport, hello);
  }

  /** A session without streams has used up its stream ids: another begins on the same socket. */
  renew({ identity, session, transport }: Member<T>): void {
    const { peer } = session;
    session.lost("draining");
    if (peer !== undefined) this.revive(transport, identity, peer);
  }

  /** A message has arrived on a socket. Only a fault of our own is thrown. */
  receive(transport: T, message: Uint8Array): void {
    const caller = this.#callers.get(transport);
    // It was closed by us: what still arrives concerns nobody.
    if (caller === undefined) return;
    try {
      const session = caller.member?.session;
      if (session === undefined || isHello(message)) {
        this.#greet(transport, caller, readHello(message));
      } else session.receive(message, transport);
    } catch (error) {
      if (!(error instanceof TunnelError)) throw error;
      this.refuse(transport, error);
    }
  }

  /** A socket has sent what no peer of ours sends: it is closed, and its session with it. */
  refuse(transport: T, error: TunnelError): void {
    const member = this.#callers.get(transport)?.member;
    if (member?.session.transport === transport) member.session.end(error.code, error.note);
    this.#refuse(transport, error);
  }

  /** A socket is gone. `code` and `reason` are those of its close frame; 1006 when there was none. */
  lost(transport: T, code: number, reason: string): void {
    const caller = this.#callers.get(transport);
    if (caller === undefined) return;
    this.#callers.delete(transport);
    caller.hush();
    const session = caller.member?.session;
    if (session === undefined || session.transport !== transport) return;
    const said = endOf(code);
    if (said === undefined) this.#keep(session, "agent-lost");
    else session.lost(said, reason);
  }

  /** To be called every few seconds while streams are open: gives up sockets whose agents show no sign of life. */
  tick(): void {
    for (const { session } of this.#members.values()) {
      const { transport } = session;
      if (session.tick() || transport === undefined) continue;
      this.#callers.delete(transport as T);
      transport.close(GOING_AWAY, "no sign of life");
      this.#keep(session, "agent-stalled");
    }
  }

  #greet(transport: T, caller: Caller<T>, hello: Hello): void {
    const known = caller.member;
    if (known !== undefined) {
      if (known.session.answered(hello)) this.#options.greeted(known, hello);
      // Else it answers a HELLO of before an earlier sleep, unless nobody has slept.
      else if (!known.session.unanswered) {
        this.refuse(transport, new TunnelError("protocol-error", "a second HELLO"));
      }
      return;
    }
    const member =
      this.#meant(caller.identity, hello) ?? this.#newMember(transport, caller.identity);
    const { session } = member;
    const before = member.transport;
    if (!session.welcome(transport, hello)) {
      throw new TunnelError("protocol-error", `${hello.received} messages were never sent`);
    }
    caller.hush();
    caller.member = member;
    if (before !== transport) this.#callers.delete(before);
    member.transport = transport;
    this.#graces.get(session)?.();
    this.#graces.delete(session);
    member.eclipsed = false;
    for (const other of this.#members.values()) {
      if (other.identity === member.identity && other !== member) this.#eclipse(other);
    }
    this.#members.delete(session.id);
    this.#members.set(session.id, member);
    this.#options.greeted(member, hello);
  }

  /** The session that a HELLO is for, if there is one: that which it names, or one that its agent may not have heard of. */
  #meant(identity: string, hello: Hello): Member<T> | undefined {
    const named = this.#members.get(hello.session);
    if (named?.identity === identity) return named;
    for (const member of this.#members.values()) {
      if (member.identity !== identity || member.eclipsed) continue;
      if (member.session.untouched) return member;
    }
    return undefined;
  }

  #newMember(transport: T, identity: string): Member<T> {
    const session = this.#options.newSession(identity, () => {
      this.#members.delete(session.id);
      this.#graces.get(session)?.();
      this.#graces.delete(session);
      this.#options.left(member);
    });
    const member: Member<T> = { identity, session, transport, eclipsed: false };
    this.#members.set(session.id, member);
    return member;
  }

  /**
   * The same agent has begun another session. If this one has nothing to finish it goes, and its socket, which is dead
   * though nobody has said so: after a sleep it would be taken for a good one.
   */
  #eclipse(member: Member<T>): void {
    const { session, transport } = member;
    member.eclipsed = true;
    if (session.streams > 0) return;
    if (session.transport !== undefined) {
      this.#hangUp(transport, 1000, "the same agent has begun another session");
    }
    session.lost("replaced");
  }

  /** A session without a socket waits for another, if there is anything to wait for. */
  #keep(session: Session, code: ErrorCode): void {
    session.detach();
    if (!session.unfinished) {
      session.lost(code);
      return;
    }
    const { platform, graceMs } = this.#options;
    const over = platform.after(graceMs, () => session.lost(code));
    this.#graces.set(session, over);
  }

  #refuse(transport: T, { code, note }: TunnelError): void {
    const close = closeOf(code, note);
    this.#hangUp(transport, close.code, close.reason);
  }

  #hangUp(transport: T, code: number, reason: string): void {
    const caller = this.#callers.get(transport);
    if (caller === undefined) return;
    caller.hush();
    this.#callers.delete(transport);
    transport.close(code, reason);
  }
}
