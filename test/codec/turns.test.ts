/** Turns: who sends next, for how long, and who waits. Counted in bytes, as a line counts them. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ALONE_DATA_BYTES, SHARED_DATA_BYTES } from "../../codec/limits.ts";
import { type Ready, Turns } from "../../codec/turns.ts";

/** Something that wants to send `leftBytes`, in pieces of at most `pieceBytes`. */
class Sender implements Ready {
  scheduled = false;
  leftBytes: number;
  sentBytes = 0;
  readonly name: string;
  readonly pieceBytes: number;

  constructor(name: string, leftBytes = Number.POSITIVE_INFINITY, pieceBytes = ALONE_DATA_BYTES) {
    this.name = name;
    this.leftBytes = leftBytes;
    this.pieceBytes = pieceBytes;
  }

  get sendable(): boolean {
    return this.leftBytes > 0;
  }
}

/** Sends one frame. Returns who sent it and how many bytes it had; undefined when nobody had any. */
function sendOne(turns: Turns<Sender>): readonly [Sender, number] | undefined {
  const sender = turns.current();
  if (sender === undefined) return undefined;
  const size = Math.min(sender.leftBytes, sender.pieceBytes, turns.frameBytes);
  sender.leftBytes -= size;
  sender.sentBytes += size;
  turns.sent(size);
  return [sender, size];
}

/** Jain's index of fairness: 1 when all have the same, 1/n when one has everything. */
function jain(shares: readonly number[]): number {
  const sum = shares.reduce((a, b) => a + b, 0);
  const squares = shares.reduce((a, b) => a + b * b, 0);
  return (sum * sum) / (shares.length * squares);
}

describe("turns", () => {
  test("are fair by bytes, however small the pieces in which some write", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: ALONE_DATA_BYTES }), { minLength: 2, maxLength: 20 }),
        (pieces) => {
          const turns = new Turns<Sender>();
          const senders = pieces.map((piece, i) => new Sender(`s${i}`, undefined, piece));
          for (const sender of senders) turns.add(sender);
          const enough = senders.length * SHARED_DATA_BYTES * 20;
          for (let bytes = 0; bytes < enough;) bytes += sendOne(turns)?.[1] ?? enough;
          expect(jain(senders.map(({ sentBytes }) => sentBytes))).toBeGreaterThan(0.99);
        },
      ),
      { numRuns: 30 },
    );
  });

  test("give at most every second one to those whose credit runs out and comes again, and comes again", () => {
    const turns = new Turns<Sender>();
    const bulk = [new Sender("a"), new Sender("b"), new Sender("c")];
    const limited = new Sender("limited", SHARED_DATA_BYTES);
    for (const sender of [...bulk, limited]) turns.add(sender);
    for (let i = 0; i < 4000; i++) {
      const out = limited.leftBytes === 0;
      sendOne(turns);
      if (!out) continue;
      // It had nothing when the turn came round: now it has credit for one turn again.
      limited.leftBytes = SHARED_DATA_BYTES;
      turns.add(limited);
    }
    const bulkBytes = bulk.map(({ sentBytes }) => sentBytes);
    expect(jain(bulkBytes)).toBeGreaterThan(0.99);
    expect(limited.sentBytes).toBeLessThanOrEqual(bulkBytes.reduce((a, b) => a + b, 0));
  });

  test.each([1, 2, 3, 50])(
    "let a small stream wait for one turn at most beside %d large ones",
    (count) => {
      // Until each large one had its first turn, in alternation with second turns, they are new as well.
      for (let before = 8 * count; before < 8 * count + 70; before++) {
        const turns = new Turns<Sender>();
        for (let i = 0; i < count; i++) turns.add(new Sender(`bulk ${i}`, undefined, 5000));
        for (let i = 0; i < before; i++) sendOne(turns);
        const small = new Sender("small", 100);
        turns.add(small);
        let waited = 0;
        for (;;) {
          const [sender, bytes] = sendOne(turns) ?? expect.unreachable();
          if (sender === small) break;
          waited += bytes;
        }
        expect(waited, `after ${before} frames`).toBeLessThanOrEqual(SHARED_DATA_BYTES);
      }
    },
  );

  test("let a large stream go on, however many small ones are ever new", () => {
    const turns = new Turns<Sender>();
    const bulk = new Sender("bulk");
    turns.add(bulk);
    let small = 0;
    for (let i = 0; i < 2000; i++) {
      for (let k = 0; k < 3; k++) turns.add(new Sender(`small ${i}.${k}`, SHARED_DATA_BYTES));
      const [sender] = sendOne(turns) ?? expect.unreachable();
      if (sender !== bulk) small++;
    }
    expect(bulk.sentBytes / SHARED_DATA_BYTES).toBeGreaterThan(900);
    expect(small).toBeGreaterThan(900);
  });

  test("serve small streams in the order in which they became ready", () => {
    const turns = new Turns<Sender>();
    const names = ["a", "b", "c", "d"];
    for (const name of names) turns.add(new Sender(name, 10));
    expect(names.map(() => sendOne(turns)?.[0].name)).toEqual(names);
  });

  test("give one that is alone larger frames, and smaller ones as soon as it is not", () => {
    const turns = new Turns<Sender>();
    const first = new Sender("first");
    turns.add(first);
    expect([sendOne(turns), sendOne(turns)]).toEqual([
      [first, ALONE_DATA_BYTES],
      [first, ALONE_DATA_BYTES],
    ]);
    turns.add(new Sender("second"));
    for (let i = 0; i < 10; i++) expect(sendOne(turns)?.[1]).toBeLessThanOrEqual(SHARED_DATA_BYTES);
  });

  test("never hold more than a turn in one frame while others wait, and never nothing", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 70_000 }), { maxLength: 12 }), (sizes) => {
        const turns = new Turns<Sender>();
        for (const [i, size] of sizes.entries()) turns.add(new Sender(`${i}`, size));
        const total = sizes.reduce((a, b) => a + b, 0);
        let sent = 0;
        for (let one = sendOne(turns); one !== undefined; one = sendOne(turns)) {
          expect(one[1]).toBeGreaterThan(0);
          sent += one[1];
        }
        expect(sent).toBe(total);
      }),
    );
  });

  test("are over when nobody has anything to send, and begin again when somebody has", () => {
    const turns = new Turns<Sender>();
    expect(turns.current()).toBeUndefined();
    const sender = new Sender("a", 5);
    turns.add(sender);
    turns.add(sender);
    expect(sendOne(turns)).toEqual([sender, 5]);
    expect([turns.current(), sender.scheduled]).toEqual([undefined, false]);
    sender.leftBytes = 3;
    turns.add(sender);
    expect(sendOne(turns)).toEqual([sender, 3]);
  });

  test("skip those who gave up while they waited", () => {
    const turns = new Turns<Sender>();
    const [a, b, c] = [new Sender("a", 10), new Sender("b", 10), new Sender("c", 10)];
    for (const sender of [a, b, c]) turns.add(sender);
    b.leftBytes = 0;
    expect([sendOne(turns)?.[0], sendOne(turns)?.[0], sendOne(turns)]).toEqual([a, c, undefined]);
    expect([a.scheduled, b.scheduled, c.scheduled]).toEqual([false, false, false]);
  });
});
