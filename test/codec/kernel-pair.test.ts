/**
 * Two kernels and a link in which frames stay as long as a test likes. Whatever programs do at the two ends, and
 * whenever frames arrive: bodies arrive exactly or are cut, no promise of memory is broken, and nothing is kept.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Budget } from "../../codec/budget.ts";
import { TunnelError } from "../../codec/errors.ts";
import type { BodyLength, RequestHead } from "../../codec/frame.ts";
import { isOver } from "../../codec/half.ts";
import { BUDGET_BYTES, INITIAL_WINDOW_BYTES, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import type { Stream } from "../../codec/stream.ts";
import { type KernelEnd, KernelPair, TinyBudget } from "../support/pair.ts";

type HalfName = "request" | "answer";
type EndName = "opener" | "acceptor";

/** What one writer wrote and what its reader took. */
interface Body {
  length: BodyLength;
  written: number;
  taken: number;
  /** The writer said that this is all. */
  complete: boolean;
}

/** One stream as the programs at both ends know it. */
interface Talk {
  readonly id: number;
  readonly opener: Stream<Talk>;
  acceptor: Stream<Talk> | undefined;
  readonly request: Body;
  readonly answer: Body;
  /** Somebody cancelled it, refused it, or wrote a body that was not what its head announced. */
  cut: boolean;
  /** The ends that cancelled it themselves: they read no more, not even what ended well. */
  readonly goneAt: Set<EndName>;
}

type Operation =
  | { readonly op: "open"; readonly length: BodyLength }
  | { readonly op: "respond"; readonly pick: number; readonly length: BodyLength }
  | { readonly op: "write"; readonly pick: number; readonly half: HalfName; readonly size: number }
  | { readonly op: "end"; readonly pick: number; readonly half: HalfName }
  | { readonly op: "read"; readonly pick: number; readonly half: HalfName; readonly times: number }
  | { readonly op: "cancel"; readonly pick: number; readonly by: EndName }
  | { readonly op: "send"; readonly by: EndName; readonly most: number }
  | { readonly op: "deliver"; readonly to: EndName; readonly most: number }
  | { readonly op: "wait"; readonly ms: number }
  | { readonly op: "drain" };

interface World {
  readonly maxStreams: number;
  readonly windowBytes: number;
  readonly budgetBytes: number;
  readonly requestCreditBytes: number;
  readonly rttMs: number;
  readonly throughWire: boolean;
}

/** The byte at a place of a body: different for each stream, half and place, so that any mix-up shows. */
function byteAt(id: number, half: HalfName, at: number): number {
  return (id * 53 + (half === "request" ? 0 : 101) + at * 7 + (at >> 8)) & 0xff;
}

/** `expect` is too slow for what is asked a hundred times a run. */
function must(condition: boolean, sentence: string): void {
  if (!condition) throw new Error(`not so: ${sentence}`);
}

class Simulation {
  readonly pair: KernelPair<Talk>;
  readonly talks: Talk[] = [];
  readonly openerBudget: Budget;
  readonly acceptorBudget: Budget;

  constructor(world: World) {
    this.openerBudget = new TinyBudget(world.budgetBytes, world.windowBytes);
    this.acceptorBudget = new Budget(world.budgetBytes);
    this.pair = new KernelPair({
      maxStreams: world.maxStreams,
      requestCreditBytes: world.requestCreditBytes,
      openerBudget: this.openerBudget,
      acceptorBudget: this.acceptorBudget,
      throughWire: world.throughWire,
    });
    this.pair.rttMs = world.rttMs;
    this.pair.acceptor.onEvent = (event) => {
      if (event.kind === "opened") {
        const talk = this.talk(event.stream.id);
        talk.acceptor = event.stream;
        event.stream.owner = talk;
      } else if (event.kind === "cancelled") this.talk(event.stream.id).cut = true;
    };
    this.pair.opener.onEvent = (event) => {
      if (event.kind === "cancelled") this.talk(event.stream.id).cut = true;
      if (event.kind === "answered")
        expect(event.head.length).toBe(event.stream.owner?.answer.length);
    };
  }

  talk(id: number): Talk {
    const talk = this.talks[id - 1];
    if (talk === undefined) throw new Error(`stream ${id} was never opened`);
    return talk;
  }

  writer(talk: Talk, half: HalfName): readonly [KernelEnd<Talk>, Stream<Talk> | undefined] {
    return half === "request"
      ? [this.pair.opener, talk.opener]
      : [this.pair.acceptor, talk.acceptor];
  }

  reader(talk: Talk, half: HalfName): readonly [KernelEnd<Talk>, Stream<Talk> | undefined] {
    return half === "request"
      ? [this.pair.acceptor, talk.acceptor]
      : [this.pair.opener, talk.opener];
  }

  run(operation: Operation): void {
    switch (operation.op) {
      case "open":
        return this.open(operation.length);
      case "send":
        this.pair[operation.by].send(operation.most);
        return;
      case "deliver":
        this.pair.deliver(operation.to, operation.most);
        return;
      case "wait":
        this.pair.now += operation.ms;
        return;
      case "drain":
        return this.pair.acceptor.mux.drain("draining", "");
      default: {
        const talk = this.talks[operation.pick % Math.max(1, this.talks.length)];
        if (talk !== undefined) this.runOn(talk, operation);
      }
    }
  }

  runOn(talk: Talk, operation: Operation & { readonly pick: number }): void {
    switch (operation.op) {
      case "respond":
        return this.respond(talk, operation.length);
      case "write":
        return this.write(talk, operation.half, operation.size);
      case "end":
        return this.end(talk, operation.half);
      case "read":
        for (let i = 0; i < operation.times; i++) this.read(talk, operation.half);
        return;
      case "cancel":
        return this.cancel(talk, operation.by);
    }
  }

  open(length: BodyLength): void {
    const { mux } = this.pair.opener;
    const head: RequestHead = { method: "POST", path: "/", headers: [], length };
    try {
      const opener = mux.open(head, this.pair.now);
      const talk: Talk = {
        id: opener.id,
        opener,
        acceptor: undefined,
        request: { length, written: 0, taken: 0, complete: length === "none" },
        answer: { length: "unknown", written: 0, taken: 0, complete: false },
        cut: false,
        goneAt: new Set(),
      };
      opener.owner = talk;
      this.talks.push(talk);
    } catch (error) {
      if (!(error instanceof TunnelError)) throw error;
      expect(["overloaded", "draining"]).toContain(error.code);
    }
  }

  respond(talk: Talk, length: BodyLength): void {
    const { acceptor } = talk;
    if (acceptor?.outbox.state !== "idle") return;
    talk.answer.length = length;
    talk.answer.complete = length === "none";
    this.pair.acceptor.mux.respond(acceptor, { status: 200, reason: "", headers: [], length });
  }

  write(talk: Talk, half: HalfName, size: number): void {
    const [end, stream] = this.writer(talk, half);
    const body = talk[half];
    if (stream?.outbox.state !== "open" || body.complete) return;
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = byteAt(talk.id, half, body.written + i);
    body.written += size;
    end.mux.write(stream, bytes);
    if (typeof body.length !== "number" || body.written <= body.length) return;
    this.mismatched(talk, half, stream);
  }

  end(talk: Talk, half: HalfName): void {
    const [end, stream] = this.writer(talk, half);
    const body = talk[half];
    if (stream?.outbox.state !== "open" || body.complete) return;
    end.mux.end(stream, ["x-half", half]);
    if (typeof body.length === "number" && body.written !== body.length) {
      this.mismatched(talk, half, stream);
    } else body.complete = true;
  }

  /** The writer of `half` wrote more or less than its head announced. */
  mismatched(talk: Talk, half: HalfName, stream: Stream<Talk>): void {
    expect(stream.over, "a body that is not what its head announced ends its stream").toBe(true);
    talk.cut = true;
    talk.goneAt.add(half === "request" ? "opener" : "acceptor");
  }

  read(talk: Talk, half: HalfName): boolean {
    const [end, stream] = this.reader(talk, half);
    if (stream === undefined || talk.goneAt.has(half === "request" ? "acceptor" : "opener"))
      return false;
    const body = talk[half];
    const chunk = end.mux.read(stream, this.pair.now, this.pair.rttMs);
    if (chunk !== undefined) {
      for (const [i, byte] of chunk.entries()) {
        if (byte !== byteAt(talk.id, half, body.taken + i)) {
          throw new Error(
            `stream ${talk.id}, ${half}: byte ${body.taken + i} is not what was written`,
          );
        }
      }
      body.taken += chunk.length;
    }
    must(body.taken <= body.written, "no more is read than was written");
    if (stream.inbox.drained) {
      must(body.complete, "a body ends well only if its writer ended it");
      must(body.taken === body.written, "a body ends well only when it is whole");
      expect(stream.inbox.trailers).toEqual(body.length === "none" ? [] : ["x-half", half]);
    }
    return chunk !== undefined;
  }

  cancel(talk: Talk, by: EndName): void {
    const stream = talk[by];
    if (stream === undefined) return;
    if (!stream.over) talk.cut = true;
    talk.goneAt.add(by);
    this.pair[by].mux.cancel(stream, "cancelled", "");
    expect(stream.over && !stream.inbox.readable).toBe(true);
    expect(stream.inbox.credit.bufferedBytes, "a cancelled stream keeps no bytes").toBe(0);
    expect(stream.outbox.queuedBytes, "a cancelled stream keeps no bytes").toBe(0);
  }

  /** What must hold at every moment. */
  check(): void {
    this.checkBudget("opener", this.openerBudget);
    this.checkBudget("acceptor", this.acceptorBudget);
    this.checkUnanswered();
    for (const talk of this.talks) {
      this.checkCredit(talk, "request");
      this.checkCredit(talk, "answer");
    }
  }

  checkUnanswered(): void {
    const open = [...this.pair.opener.mux.streams];
    const unanswered = open.filter(({ inbox }) => inbox.state === "idle").length;
    must(this.pair.opener.mux.unanswered === unanswered, "unanswered are those without a head");
    must(this.pair.acceptor.mux.unanswered === 0, "who opens nothing waits for nothing");
  }

  checkBudget(name: EndName, budget: Budget): void {
    let promised = 0;
    for (const talk of this.talks) {
      const inbox = talk[name]?.inbox;
      if (inbox === undefined) continue;
      const { windowBytes, grantedBytes, bufferedBytes } = inbox.credit;
      if (isOver(inbox.state)) {
        must(windowBytes + grantedBytes === 0, "a half that is over has no window");
        promised += bufferedBytes;
      } else {
        must(grantedBytes + bufferedBytes <= windowBytes, "no window is overdrawn");
        promised += windowBytes;
      }
    }
    must(budget.usedBytes === promised, "the budget is the sum of what is promised");
    must(budget.usedBytes <= budget.totalBytes, "no more is promised than the budget has");
  }

  /** Credit is neither made nor lost on the way: what the receiver granted is somewhere. */
  checkCredit(talk: Talk, half: HalfName): void {
    const [from, sender] = this.writer(talk, half);
    const [to, receiver] = this.reader(talk, half);
    if (sender === undefined || receiver === undefined) return;
    if (isOver(sender.outbox.state) || isOver(receiver.inbox.state)) return;
    let somewhere = sender.outbox.credit.bytes + receiver.inbox.dueBytes;
    for (const frame of from.sent) {
      if (frame.kind === "data" && frame.stream === talk.id) somewhere += frame.bytes.length;
    }
    for (const frame of to.sent) {
      if (frame.kind === "credit" && frame.stream === talk.id) somewhere += frame.bytes;
    }
    must(somewhere === receiver.inbox.credit.grantedBytes, "what was granted is somewhere");
  }

  /** Everybody finishes what they began, everything arrives, and readers read. */
  finish(): void {
    for (let moved = true; moved;) {
      moved = false;
      for (const talk of this.talks) {
        this.respond(talk, "unknown");
        for (const half of ["request", "answer"] as const) {
          const body = talk[half];
          if (typeof body.length === "number" && body.written < body.length) {
            this.write(talk, half, body.length - body.written);
          }
          this.end(talk, half);
          while (this.read(talk, half)) moved = true;
        }
      }
      for (const end of ["opener", "acceptor"] as const) {
        if (this.pair[end].send() > 0) moved = true;
        if (this.pair.deliver(end) > 0) moved = true;
      }
      this.pair.now++;
      this.check();
    }
  }

  checkEnd(): void {
    for (const talk of this.talks) {
      expect(talk.opener.over, `stream ${talk.id} is over for its opener`).toBe(true);
      expect(talk.acceptor?.over ?? talk.cut, `stream ${talk.id} is over for the acceptor`).toBe(
        true,
      );
      if (talk.cut) continue;
      for (const half of ["request", "answer"] as const) {
        if (talk.goneAt.has(half === "request" ? "acceptor" : "opener")) continue;
        expect(talk[half].taken, `the ${half} of stream ${talk.id} arrived`).toBe(
          talk[half].written,
        );
        expect(this.reader(talk, half)[1]?.inbox.drained, `${half} of ${talk.id} ended well`).toBe(
          true,
        );
      }
    }
    expect(this.pair.opener.mux.size + this.pair.acceptor.mux.size).toBe(0);
    expect(this.openerBudget.usedBytes, "nothing stays promised by the opener").toBe(0);
    expect(this.acceptorBudget.usedBytes, "nothing stays promised by the acceptor").toBe(0);
    expect([this.pair.opener.mux.poll(), this.pair.acceptor.mux.poll()]).toEqual([
      undefined,
      undefined,
    ]);
  }
}

const pick = fc.nat({ max: 7 });
const half = fc.constantFrom<HalfName>("request", "answer");
const end = fc.constantFrom<EndName>("opener", "acceptor");
const most = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant(Number.POSITIVE_INFINITY));
const length = fc.oneof(
  { arbitrary: fc.constant<BodyLength>("unknown"), weight: 3 },
  { arbitrary: fc.constant<BodyLength>("none"), weight: 1 },
  { arbitrary: fc.integer({ min: 0, max: 40 }), weight: 2 },
);

/** Operations whose bodies are about as large as `unitBytes`. */
function operations(unitBytes: number): fc.Arbitrary<Operation[]> {
  const size = fc.oneof(
    fc.integer({ min: 0, max: unitBytes * 2 }),
    fc.constantFrom(unitBytes - 1, unitBytes, unitBytes + 1),
  );
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.record({ op: fc.constant("open" as const), length }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant("respond" as const), pick, length }) },
    { weight: 8, arbitrary: fc.record({ op: fc.constant("write" as const), pick, half, size }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant("end" as const), pick, half }) },
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant("read" as const),
        pick,
        half,
        times: fc.integer({ min: 1, max: 4 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("cancel" as const), pick, by: end }) },
    { weight: 6, arbitrary: fc.record({ op: fc.constant("send" as const), by: end, most }) },
    { weight: 6, arbitrary: fc.record({ op: fc.constant("deliver" as const), to: end, most }) },
    {
      weight: 1,
      arbitrary: fc.record({ op: fc.constant("wait" as const), ms: fc.nat({ max: 100 }) }),
    },
  );
  const drain = fc.constant<Operation>({ op: "drain" });
  return fc.array(
    fc.oneof({ weight: 200, arbitrary: operation }, { weight: 1, arbitrary: drain }),
    {
      minLength: 5,
      maxLength: 120,
      size: "max",
    },
  );
}

/** Windows of a few bytes, and budgets of a few windows. */
const tinyWorld: fc.Arbitrary<World> = fc.record({
  maxStreams: fc.integer({ min: 1, max: 6 }),
  windowBytes: fc.integer({ min: 1, max: 16 }),
  budgetBytes: fc.constantFrom(16, 64, 4096),
  requestCreditBytes: fc.integer({ min: 1, max: 16 }),
  rttMs: fc.constantFrom(0, 20),
  throughWire: fc.boolean(),
});

/** Windows as they are in life. */
const realWorld: fc.Arbitrary<World> = fc.record({
  maxStreams: fc.constant(100),
  windowBytes: fc.constant(INITIAL_WINDOW_BYTES),
  budgetBytes: fc.constantFrom(INITIAL_WINDOW_BYTES * 4, BUDGET_BYTES),
  requestCreditBytes: fc.constant(REQUEST_CREDIT_BYTES),
  rttMs: fc.constantFrom(0, 20),
  throughWire: fc.boolean(),
});

function simulate(world: World, steps: readonly Operation[]): void {
  const simulation = new Simulation(world);
  for (const step of steps) {
    simulation.run(step);
    simulation.check();
  }
  simulation.finish();
  simulation.checkEnd();
}

describe("two kernels", () => {
  test("move every body exactly or cut it, keep every promise, and forget everything (tiny windows)", () => {
    fc.assert(fc.property(tinyWorld, operations(10), simulate), { numRuns: 10_000 });
  });

  test("do the same with the windows of real life", () => {
    fc.assert(fc.property(realWorld, operations(20_000), simulate), { numRuns: 500 });
  });

  test("end everything that was open when the session is abandoned, and keep nothing but what ended well", () => {
    fc.assert(
      fc.property(tinyWorld, operations(10), (world, steps) => {
        const simulation = new Simulation(world);
        for (const step of steps) simulation.run(step);
        const { opener, acceptor } = simulation.pair;
        for (const end of [opener, acceptor]) {
          const open = end.mux.size;
          expect(end.mux.abandon()).toHaveLength(open);
          expect(end.mux.size).toBe(0);
        }
        for (const talk of simulation.talks) {
          expect([talk.opener.over, talk.acceptor?.over ?? true]).toEqual([true, true]);
          for (const half of ["request", "answer"] as const) while (simulation.read(talk, half));
        }
        expect(simulation.openerBudget.usedBytes + simulation.acceptorBudget.usedBytes).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});
