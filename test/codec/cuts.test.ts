/**
 * Two ends whose sockets are cut at any moment, with all, some or none of what was on its way delivered. Whatever happens
 * in between: every byte arrives once and in order, what is kept stays within its bounds, and nothing is left behind.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Budget } from "../../codec/budget.ts";
import { TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import {
  BUDGET_BYTES,
  GRACE_MS,
  LEAST_RETAINED_BYTES,
  PING_AFTER_MS,
  REQUEST_CREDIT_BYTES,
  RETAINED_MESSAGE_BYTES,
} from "../../codec/limits.ts";
import { ok, post } from "../support/exchanges.ts";
import { type MemoryTransport, SessionPair } from "../support/pair.ts";

type End = "edge" | "agent";

type Operation =
  | { readonly op: "open" }
  | { readonly op: "write"; readonly pick: number; readonly by: End; readonly size: number }
  | { readonly op: "end"; readonly pick: number; readonly by: End }
  | { readonly op: "read"; readonly pick: number; readonly by: End; readonly times: number }
  | { readonly op: "cancel"; readonly pick: number; readonly by: End }
  | { readonly op: "send"; readonly by: End }
  | { readonly op: "deliver"; readonly to: End; readonly most: number }
  | { readonly op: "full"; readonly by: End }
  | { readonly op: "cut"; readonly notices: readonly End[] }
  | { readonly op: "dial" }
  | { readonly op: "late"; readonly most: number }
  | { readonly op: "wait"; readonly ms: number };

interface World {
  readonly edgeRetainBytes: number;
  readonly agentRetainBytes: number;
  readonly edgeBudgetBytes: number;
  readonly agentBudgetBytes: number;
}

/** One direction of an exchange. */
interface Way {
  readonly from: End;
  written: number;
  taken: number;
  complete: boolean;
}

interface Talk {
  readonly id: number;
  readonly edge: Exchange;
  agent: Exchange | undefined;
  /** The way that begins at each end. */
  readonly from: Record<End, Way>;
}

/** The longest message of a PING: array, kind, a token of five bytes. */
const PING_BYTES = 7;

const ends = ["edge", "agent"] as const;
const other = (end: End): End => (end === "edge" ? "agent" : "edge");

/** The byte at a place of a body: different for each stream, way and place, so that any mix-up shows. */
function byteAt(id: number, from: End, at: number): number {
  return (id * 53 + (from === "edge" ? 0 : 101) + at * 7 + (at >> 8)) & 0xff;
}

/** `expect` is too slow for what is asked a hundred times a run. */
function must(condition: boolean, sentence: string): void {
  if (!condition) throw new Error(`not so: ${sentence}`);
}

/** The programs at both ends of a `SessionPair`, and the network between. */
class Weather {
  readonly pair: SessionPair;
  readonly #world: World;
  readonly #budgets: Record<End, Budget>;
  readonly #talks: Talk[] = [];
  /** What was on its way on sockets that the agent has given up, and may still arrive. */
  readonly #late: (readonly [to: End, over: MemoryTransport, message: Uint8Array])[] = [];
  /** When the first of the ends may have lost its socket. */
  #lostAtMs: number | undefined;

  constructor(world: World) {
    this.#world = world;
    this.#budgets = {
      edge: new Budget(world.edgeBudgetBytes),
      agent: new Budget(world.agentBudgetBytes),
    };
    this.pair = new SessionPair({
      edge: { budget: this.#budgets.edge, retainBytes: world.edgeRetainBytes },
      agent: {
        budget: this.#budgets.agent,
        retainBytes: world.agentRetainBytes,
        accept: (exchange) => {
          const talk = this.#talks[exchange.stream - 1];
          if (talk === undefined) throw new Error("a stream that nobody opened");
          must(talk.agent === undefined, "a request arrives once");
          talk.agent = exchange;
          exchange.respond(ok);
        },
      },
    });
    this.pair.greet();
    this.settle();
    // While it is open no session is given up for having nothing to do.
    this.#open();
    this.settle();
  }

  run(operation: Operation): void {
    switch (operation.op) {
      case "open":
        return this.#open();
      case "send":
        this.pair[operation.by].transport.turn();
        return;
      case "deliver":
        this.pair.deliver(operation.to, operation.most);
        return;
      case "full":
        this.pair[operation.by].transport.full = true;
        return;
      case "cut":
        return this.#cut(operation.notices);
      case "dial":
        return this.#dial();
      case "late":
        return this.#arriveLate(operation.most);
      case "wait":
        return this.#wait(operation.ms);
      default: {
        const talk = this.#talks[operation.pick % this.#talks.length];
        if (talk !== undefined) this.#runOn(talk, operation);
      }
    }
  }

  #runOn(talk: Talk, operation: Operation & { readonly pick: number }): void {
    switch (operation.op) {
      case "write":
        return this.#write(talk, operation.by, operation.size);
      case "end":
        // The first one holds the session.
        if (talk.id > 1) this.#end(talk, operation.by);
        return;
      case "read":
        for (let i = 0; i < operation.times; i++) this.#read(talk, operation.by);
        return;
      case "cancel":
        if (talk.id > 1) talk[operation.by]?.cancel("cancelled");
        return;
    }
  }

  #open(): void {
    const { session } = this.pair.edge;
    if (!session.ready) return;
    try {
      const edge = session.open(post);
      const way = { written: 0, taken: 0, complete: false };
      const from = { edge: { from: "edge", ...way }, agent: { from: "agent", ...way } } as const;
      this.#talks.push({ id: edge.stream, edge, agent: undefined, from });
    } catch (error) {
      must(error instanceof TunnelError && error.code === "overloaded", String(error));
    }
  }

  #cut(notices: readonly End[]): void {
    this.#lostAtMs ??= this.pair.clock.now;
    // Who does not notice hears of it when the agent has dialled again.
    this.pair.cut(...notices);
  }

  #dial(): void {
    for (const end of ends) {
      const messages = this.pair[other(end)].transport.sent;
      for (const message of messages) this.#late.push([end, this.pair[end].transport, message]);
    }
    this.#cut(["agent"]);
    this.pair.redial();
  }

  #arriveLate(most: number): void {
    for (const [to, over, message] of this.#late.splice(0, most)) {
      if (to === "edge") this.pair.edge.listener.receive(over, message);
      else this.pair.agent.dialer.receive(over, message);
    }
  }

  /** Time passes, but never so much that either end gives up the other. */
  #wait(ms: number): void {
    const { clock } = this.pair;
    const joined = ends.every(
      (end) => this.pair[end].session.transport === this.pair[end].transport,
    );
    if (joined) this.#lostAtMs = undefined;
    const sinceMs = this.#lostAtMs ?? clock.now;
    if (clock.now + ms < sinceMs + GRACE_MS) this.pair.pass(ms);
  }

  #write(talk: Talk, by: End, size: number): void {
    const way = talk.from[by];
    const exchange = talk[by];
    if (exchange === undefined || exchange.error !== undefined || way.complete) return;
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = byteAt(talk.id, by, way.written + i);
    way.written += size;
    exchange.outgoing.write(bytes);
  }

  #end(talk: Talk, by: End): void {
    const way = talk.from[by];
    const exchange = talk[by];
    if (exchange === undefined || exchange.error !== undefined || way.complete) return;
    way.complete = true;
    exchange.outgoing.end(["x-from", by]);
  }

  #read(talk: Talk, by: End): boolean {
    const way = talk.from[other(by)];
    const chunk = talk[by]?.incoming.take();
    if (chunk === undefined) return false;
    for (const byte of chunk) {
      must(
        byte === byteAt(talk.id, way.from, way.taken++),
        "each byte is the one that was written there",
      );
    }
    must(way.taken <= way.written, "no more is read than was written");
    return true;
  }

  /** What must hold at every moment. */
  check(): void {
    for (const end of ends) {
      const { session, platform } = this.pair[end];
      const budget = this.#budgets[end];
      must(session.retainedBytes === budget.retainedBytes, "the budget knows what is kept");
      must(budget.usedBytes <= budget.totalBytes, "no more is promised than the budget has");
      // The last message begins below the bound, and the question for an ACK may follow it.
      const over = platform.largestBytes + 2 * RETAINED_MESSAGE_BYTES + PING_BYTES;
      const bound = this.#world[`${end}RetainBytes`] + over;
      must(session.retainedBytes < bound, "what is kept has a bound");
    }
    must(this.pair.edge.id === "s1", "it is one session all the time");
    must(this.#talks[0]?.edge.error === undefined, "nothing fails that nobody has cancelled");
  }

  /** Everything moves until nothing does. Returns whether anything did. */
  settle(): boolean {
    let moved = false;
    let rounds = 0;
    for (let moving = true; moving;) {
      must(++rounds < 10_000, "it comes to rest");
      moving = false;
      for (const end of ends) {
        this.pair[end].transport.turn();
        if (this.pair.deliver(other(end)) > 0) moving = true;
      }
      moved ||= moving;
    }
    return moved;
  }

  /** The weather is fine from now on: everybody says the rest, and reads. */
  finish(): void {
    this.#dial();
    let rounds = 0;
    for (let quiet = 0; quiet < 3; quiet++) {
      must(++rounds < 1000, "it comes to an end");
      for (const talk of this.#talks) for (const end of ends) this.#end(talk, end);
      if (this.settle()) quiet = 0;
      for (const talk of this.#talks) {
        for (const end of ends) while (this.#read(talk, end)) quiet = 0;
      }
      this.check();
      // The edge answers few PINGs in a short time; an agent that may keep next to nothing asks for each message.
      this.pair.pass(PING_AFTER_MS);
      this.pair.edge.tick();
    }
  }

  checkEnd(): void {
    for (const talk of this.#talks) {
      const cut = talk.edge.error ?? talk.agent?.error;
      if (cut !== undefined) {
        expect(["cancelled", "overloaded"], `stream ${talk.id}`).toContain(cut.code);
        continue;
      }
      for (const { from, written, taken } of Object.values(talk.from)) {
        expect(taken, `what the ${from} wrote on stream ${talk.id} has arrived`).toBe(written);
        const body = talk[other(from)]?.incoming;
        expect([body?.ended, body?.trailers], "it has ended").toEqual([true, ["x-from", from]]);
      }
    }
    for (const end of ends) {
      const { session, platform, transport } = this.pair[end];
      expect([session.streams, session.promisedBytes, session.bufferedBytes]).toEqual([0, 0, 0]);
      expect([transport.closed, platform.timers]).toEqual([undefined, 0]);
      const { released } = platform;
      expect(new Set(released).size, "memory is given back once").toBe(released.length);
    }
  }
}

const by = fc.constantFrom(...ends);
const pick = fc.nat(3);
const size = fc.oneof(
  { weight: 4, arbitrary: fc.nat(3000) },
  { weight: 2, arbitrary: fc.nat(100_000) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, REQUEST_CREDIT_BYTES, REQUEST_CREDIT_BYTES + 1) },
);
const times = fc.integer({ min: 1, max: 4 });
const most = fc.oneof(times, fc.constant(Number.POSITIVE_INFINITY));
const notices = fc.constantFrom<readonly End[]>(["edge"], ["agent"], ["edge", "agent"]);
const ms = fc.nat(9000);

/** An operation that comes up as often as its weight says. */
function operation<Op extends string, Fields extends object>(
  weight: number,
  op: Op,
  fields: { [Key in keyof Fields]: fc.Arbitrary<Fields[Key]> },
): { readonly weight: number; readonly arbitrary: fc.Arbitrary<{ readonly op: Op } & Fields> } {
  return { weight, arbitrary: fc.record(fields).map((drawn) => ({ op, ...drawn })) };
}

const operations: fc.Arbitrary<Operation[]> = fc.array(
  fc.oneof(
    operation(1, "open", {}),
    operation(8, "write", { pick, by, size }),
    operation(1, "end", { pick, by }),
    operation(6, "read", { pick, by, times }),
    operation(1, "cancel", { pick, by }),
    operation(8, "send", { by }),
    operation(8, "deliver", { to: by, most }),
    operation(1, "full", { by }),
    operation(2, "cut", { notices }),
    operation(3, "dial", {}),
    operation(2, "late", { most }),
    operation(1, "wait", { ms }),
  ),
  { maxLength: 120, size: "max" },
);

const retainBytes = fc.oneof(fc.integer({ min: 600, max: 20_000 }), fc.constant(BUDGET_BYTES));
const budgetBytes = fc.constantFrom(64 * 1024, LEAST_RETAINED_BYTES, BUDGET_BYTES);
const world: fc.Arbitrary<World> = fc.record({
  edgeRetainBytes: retainBytes,
  agentRetainBytes: retainBytes,
  edgeBudgetBytes: budgetBytes,
  agentBudgetBytes: budgetBytes,
});

test("every byte arrives once and in order, whatever is cut and when", () => {
  fc.assert(
    fc.property(world, operations, (setting, steps) => {
      const weather = new Weather(setting);
      for (const step of steps) {
        weather.run(step);
        weather.check();
      }
      weather.finish();
      weather.checkEnd();
    }),
    { numRuns: 1000 },
  );
});
