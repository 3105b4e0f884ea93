/**
 * The edge's object: a real listener, and around it what `edge/correlator.ts` does: picks an agent, lets requests wait,
 * sends again what never left; and what befalls it: eviction, and sleep.
 */
import { Budget } from "../../codec/budget.ts";
import { errors } from "../../codec/errors.ts";
import { TunnelError } from "../../codec/errors.ts";
import type { Hello } from "../../codec/frame.ts";
import { Listener, type Member } from "../../codec/listener.ts";
import { Session } from "../../codec/session.ts";
import type { Blame } from "./blame.ts";
import { codeOf } from "./blame.ts";
import type { End } from "./cable.ts";
import { SimulatedPlatform } from "./platform.ts";
import { maySendAgain, type Visitor } from "./visitor.ts";
import type { World } from "./world.ts";

/** As in `edge/pulse.ts`. */
const BEAT_MS = 5000;

export interface EdgeOptions {
  readonly world: World;
  readonly blame: Blame;
  readonly graceMs: number;
  readonly budgetBytes: number | undefined;
  readonly retainBytes: number;
}

/** What a socket keeps though the object sleeps. */
interface Kept {
  readonly identity: string;
  readonly replace: boolean;
  hello: Hello | undefined;
}

/** A process of the edge, for as long as it remembers. */
interface Life {
  readonly platform: SimulatedPlatform;
  readonly budget: Budget;
  readonly listener: Listener<End>;
  readonly waiting: Set<() => void>;
  readonly successors: Set<End>;
  lostMs: number;
  beating: boolean;
}

export class Edge {
  readonly options: EdgeOptions;
  /** All that ever came, by the id of their plans. */
  readonly visitors = new Map<number, Visitor>();
  readonly #world: World;
  readonly #sockets = new Map<End, Kept>();
  #life: Life;
  #sessions = 0;

  constructor(options: EdgeOptions) {
    this.options = options;
    this.#world = options.world;
    this.#life = this.#newLife();
  }

  get budget(): Budget {
    return this.#life.budget;
  }

  get members(): IterableIterator<Member<End>> {
    return this.#life.listener.members;
  }

  get timers(): number {
    return this.#life.platform.timers;
  }

  get streams(): number {
    let streams = 0;
    for (const { session } of this.members) streams += session.streams;
    return streams;
  }

  /** An agent's upgrade has come. */
  connect(end: End, identity: string, replace: boolean): void {
    this.#sockets.set(end, { identity, replace, hello: undefined });
    end.holder = {
      message: (bytes) => this.#life.listener.receive(end, bytes),
      lost: (code, reason) => {
        this.#sockets.delete(end);
        this.#life.successors.delete(end);
        this.#life.listener.lost(end, code, reason);
      },
      drained: () => {},
    };
    if (replace) this.#life.successors.add(end);
    this.#life.listener.accept(end, identity);
  }

  /** A message comes over a socket that may be long dead. */
  hear(end: End, message: Uint8Array): void {
    this.#life.listener.receive(end, message);
  }

  /** A visitor has come. */
  request(visitor: Visitor): void {
    this.visitors.set(visitor.plan.id, visitor);
    this.#send(visitor, new Set());
  }

  /** The process is gone, and with it all sockets and visitors. */
  evict(): void {
    this.#world.note("the edge is evicted");
    this.options.blame.codes("agent-offline");
    this.#end();
    for (const visitor of this.visitors.values()) visitor.evict();
    const { random } = this.#world;
    for (const end of this.#sockets.keys()) {
      end.forsake();
      const noticesMs = random.chance(0.8) ? random.next() * 200 : random.next() * 5000;
      this.#world.after(noticesMs, () => end.peer?.lose(1006, ""));
      end.vanish();
    }
    this.#sockets.clear();
    this.#life = this.#newLife();
  }

  /** Whether the object could be put to sleep now. */
  get idle(): boolean {
    if (this.streams > 0 || this.timers > 0 || this.#life.waiting.size > 0) return false;
    if (this.#expectedWithinMs(this.#life) > 0) return false;
    for (const visitor of this.visitors.values()) if (visitor.pending) return false;
    return true;
  }

  /** The object sleeps: it forgets everything but its sockets, and wakes. */
  sleep(): void {
    this.#world.note("the edge sleeps");
    if (this.#life.budget.usedBytes !== 0) this.#world.violate("an idle edge has promised memory");
    this.#end();
    this.#life = this.#newLife();
    for (const [end, { identity, replace, hello }] of this.#sockets) {
      // The platform knows which sockets it is closing.
      if (end.over) continue;
      if (hello !== undefined) this.#life.listener.revive(end, identity, hello);
      else {
        if (replace) this.#life.successors.add(end);
        this.#life.listener.accept(end, identity);
      }
    }
  }

  #end(): void {
    this.#life.platform.kill();
    this.#life.waiting.clear();
  }

  #newLife(): Life {
    const { graceMs, budgetBytes } = this.options;
    const platform = new SimulatedPlatform(this.#world);
    const life: Life = {
      platform,
      budget: new Budget(budgetBytes),
      waiting: new Set(),
      successors: new Set(),
      lostMs: Number.NEGATIVE_INFINITY,
      beating: false,
      listener: new Listener<End>({
        platform,
        graceMs,
        newSession: (_identity, ended) => this.#newSession(life, ended),
        greeted: (member, hello) => this.#greeted(life, member, hello),
        left: () => {},
      }),
    };
    return life;
  }

  #newSession(life: Life, ended: (error: TunnelError) => void): Session {
    const { retainBytes, graceMs } = this.options;
    const { random } = this.#world;
    const id = `s${++this.#sessions}`;
    return new Session(life.platform, {
      id,
      introduction: { maxStreams: 0, credit: 0, grace: graceMs, software: "edge" },
      budget: life.budget,
      retainBytes,
      random: () => random.between(2 ** 30, 2 ** 31 - 1),
      ended: (error) => {
        this.#world.note(`session ${id} ends at the edge: ${error.message}`);
        if (error.code === "agent-lost" || error.code === "agent-stalled") {
          life.lostMs = this.#world.nowMs;
        }
        ended(error);
      },
    });
  }

  #greeted(life: Life, member: Member<End>, hello: Hello): void {
    const { transport } = member;
    this.#world.note(`${transport.name} has greeted, session ${member.session.id}`);
    const kept = this.#sockets.get(transport);
    if (kept !== undefined) kept.hello ??= hello;
    if (life.successors.delete(transport)) {
      for (const other of life.listener.members) {
        if (other !== member) other.session.drain("replaced", "another agent took over");
      }
    }
    for (const wake of life.waiting) wake();
  }

  #send(visitor: Visitor, tried: Set<Session>): void {
    const life = this.#life;
    const member = this.#pick(life, tried);
    if (member !== undefined) {
      this.#open(life, visitor, member, tried);
      return;
    }
    const withinMs = this.#expectedWithinMs(life);
    if (withinMs === 0) {
      this.#refuse(life, visitor);
      return;
    }
    let stop = (): void => {};
    const over = (): void => {
      stop();
      life.waiting.delete(over);
      const found = this.#pick(life, new Set());
      if (found === undefined) this.#refuse(life, visitor);
      else this.#open(life, visitor, found, tried);
    };
    this.#world.note(`${visitor.name} waits`);
    life.waiting.add(over);
    stop = life.platform.after(withinMs, over);
    visitor.onLeave = () => {
      stop();
      life.waiting.delete(over);
    };
  }

  #open(life: Life, visitor: Visitor, member: Member<End>, tried: Set<Session>): void {
    const { session, identity } = member;
    tried.add(session);
    const failed = (error: unknown): void => {
      if (!visitor.pending) return;
      const code = codeOf(error);
      const retryable = code !== undefined && errors[code].retryable && errors[code].status >= 500;
      if (maySendAgain(error, visitor.head, retryable) && this.#pick(life, tried) !== undefined) {
        this.#world.note(`${visitor.name} is sent again: ${String(error)}`);
        this.#send(visitor, tried);
      } else visitor.fail(error);
    };
    try {
      const exchange = session.open(visitor.head);
      visitor.begin(exchange, identity);
      if (!life.beating) this.#beat(life);
      exchange.answer().then(
        this.#world.listening((head) => visitor.answered(exchange, head)),
        this.#world.listening(failed),
      );
    } catch (error) {
      failed(error);
    }
  }

  #refuse({ listener }: Life, visitor: Visitor): void {
    for (const { session } of listener.members) {
      if (session.transport !== undefined && !session.ready) {
        visitor.fail(new TunnelError("draining"));
        return;
      }
    }
    visitor.fail(new TunnelError("agent-offline"));
  }

  /** As `edge/agents.ts` picks. */
  #pick({ listener }: Life, except: ReadonlySet<Session>): Member<End> | undefined {
    let best: Member<End> | undefined;
    let suspect: Member<End> | undefined;
    for (const member of listener.members) {
      const { session } = member;
      if (!session.ready || member.eclipsed || except.has(session)) continue;
      if (session.suspect) suspect = member;
      else if (best === undefined || isLessLoaded(session, best.session)) best = member;
    }
    return best ?? suspect;
  }

  #expectedWithinMs({ listener, lostMs }: Life): number {
    const { graceMs } = this.options;
    return listener.expecting ? graceMs : Math.max(0, lostMs + graceMs - this.#world.nowMs);
  }

  #beat(life: Life): void {
    life.beating = true;
    this.#world.after(BEAT_MS, () => {
      life.beating = false;
      if (life !== this.#life) return;
      life.listener.tick();
      if (this.streams > 0) this.#beat(life);
    });
  }
}

function isLessLoaded(later: Session, earlier: Session): boolean {
  if (later.streams !== earlier.streams) return later.streams < earlier.streams;
  return later.retainedBytes <= earlier.retainedBytes;
}
