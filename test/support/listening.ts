/** A listener whose agents are written by hand: what arrives of them, and when, is up to the test. */
import { type ErrorCode, errors, type TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { Frame, Hello } from "../../codec/frame.ts";
import { GRACE_MS } from "../../codec/limits.ts";
import { Listener, type Member } from "../../codec/listener.ts";
import { Session } from "../../codec/session.ts";
import { post } from "./exchanges.ts";
import { agentHello, edgeHello, MemoryPlatform, MemoryTransport, messageOf } from "./pair.ts";

/** The close code that says an error of the table. */
export const closeCode = (code: ErrorCode): number => 4000 + errors[code].wire;

/** The session that each HELLO on a socket names, and what it says was received. */
export const hellos = (transport: MemoryTransport): [session: string, received: number][] =>
  transport
    .frames()
    .flat()
    .flatMap((frame) => (frame.kind === "hello" ? [[frame.session, frame.received]] : []));

/** A listener, and agents that say what a test makes them say. */
export class ListenerScene {
  readonly clock = { now: 1000 };
  readonly platform = new MemoryPlatform(this.clock);
  /** What the listener told: the sessions greeted, and those that left. */
  readonly told: string[] = [];
  readonly listener = new Listener<MemoryTransport>({
    platform: this.platform,
    graceMs: GRACE_MS,
    newSession: (_identity, ended) => this.#newSession(ended),
    greeted: ({ session }) => this.told.push(`${session.id} greeted`),
    left: ({ session }) => this.told.push(`${session.id} left`),
  });
  #ids = 0;

  #newSession(ended: (error: TunnelError) => void): Session {
    return new Session(this.platform, {
      id: `s${++this.#ids}`,
      introduction: edgeHello,
      retainBytes: 1_000_000,
      ended,
    });
  }

  /** A socket of `identity`. */
  accept(identity = "agent"): MemoryTransport {
    const transport = new MemoryTransport(this.platform);
    this.listener.accept(transport, identity);
    return transport;
  }

  /** A socket of `identity` that has said HELLO. */
  greet(hello: Partial<Hello> = {}, identity = "agent"): MemoryTransport {
    const transport = this.accept(identity);
    this.say(transport, hello);
    return transport;
  }

  /** A HELLO arrives. */
  say(transport: MemoryTransport, hello: Partial<Hello> = {}): void {
    this.receive(transport, {
      kind: "hello",
      session: "",
      received: 0,
      ...agentHello,
      ...hello,
    });
  }

  receive(transport: MemoryTransport, ...frames: Frame[]): void {
    this.listener.receive(transport, messageOf(...frames));
    this.platform.turn();
  }

  /** The latest greeted last. */
  get members(): Member<MemoryTransport>[] {
    return [...this.listener.members];
  }

  member(id: string): Member<MemoryTransport> {
    const member = this.members.find(({ session }) => session.id === id);
    if (member === undefined) throw new Error(`no session ${id}`);
    return member;
  }

  /** An exchange that the session has sent to its agent. */
  open(id = "s1"): Exchange {
    const exchange = this.member(id).session.open(post);
    this.platform.turn();
    return exchange;
  }

  pass(ms: number): void {
    this.clock.now += ms;
    this.platform.ring();
  }
}
