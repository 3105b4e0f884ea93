/** Messages counted both ways, and kept until they are acknowledged. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Budget } from "../../codec/budget.ts";
import {
  ACK_RIDES_BYTES,
  ACK_RIDES_MESSAGES,
  BUDGET_BYTES,
  LEAST_RETAINED_BYTES,
  RETAINED_MESSAGE_BYTES,
} from "../../codec/limits.ts";
import { Link } from "../../codec/link.ts";

const MANY = 1024 * 1024;

interface Made {
  readonly link: Link;
  readonly budget: Budget;
  readonly released: Uint8Array[];
}

function newLink(retainBytes = MANY): Made {
  const budget = new Budget();
  const released: Uint8Array[] = [];
  const link = new Link({ retainBytes, budget, release: (message) => released.push(message) });
  return { link, budget, released };
}

const message = (size = 10): Uint8Array => new Uint8Array(size);

describe("what was sent", () => {
  test("is kept in order until the peer has it, and released then, once", () => {
    const { link, released } = newLink();
    const [a, b, c] = [message(1), message(2), message(3)];
    for (const each of [a, b, c]) link.keep(each, false);
    expect(link.acknowledge(2)).toBe(true);
    expect([released, [...link.unacknowledged()]]).toEqual([[a, b], [c]]);
    expect(link.acknowledge(3)).toBe(true);
    expect([released, [...link.unacknowledged()], link.retainedBytes]).toEqual([[a, b, c], [], 0]);
  });

  test("counts in the budget with what keeping it costs", () => {
    const { link, budget } = newLink();
    link.keep(message(100), false);
    link.keep(message(0), false);
    expect(link.retainedBytes).toBe(100 + 2 * RETAINED_MESSAGE_BYTES);
    expect([budget.retainedBytes, budget.usedBytes]).toEqual([link.retainedBytes, 0]);
    expect(budget.freeBytes).toBe(BUDGET_BYTES - link.retainedBytes);
    link.acknowledge(2);
    expect([budget.retainedBytes, budget.freeBytes]).toEqual([0, BUDGET_BYTES]);
  });

  test("is forgotten at the end, but not released: a socket may still be sending it", () => {
    const { link, budget, released } = newLink();
    link.keep(message(), false);
    link.clear();
    expect([released, budget.retainedBytes, [...link.unacknowledged()]]).toEqual([[], 0, []]);
    expect([link.acknowledge(1), released]).toEqual([true, []]);
  });
});

describe("an acknowledgement", () => {
  test("that is older than another changes nothing", () => {
    const { link, released } = newLink();
    for (let i = 0; i < 5; i++) link.keep(message(), false);
    link.acknowledge(4);
    expect([link.acknowledge(1), released.length]).toEqual([true, 4]);
    expect([link.acknowledge(4), released.length]).toEqual([true, 4]);
  });

  test("that says nothing new does not answer the question for one", () => {
    const { link } = newLink(4 * (1000 + RETAINED_MESSAGE_BYTES));
    for (let i = 0; i < 3; i++) link.keep(message(1000), false);
    link.acknowledge(1);
    expect(link.wantsAck).toBe(true);
    link.asked();
    link.acknowledge(1);
    link.acknowledge(0);
    expect(link.wantsAck).toBe(false);
  });

  test("of more than was sent is refused, and changes nothing", () => {
    const { link, released } = newLink();
    link.keep(message(), false);
    expect([link.acknowledge(2), released]).toEqual([false, []]);
  });

  test("of a peer that comes back is no older than the last, and no newer than what was sent", () => {
    const { link } = newLink();
    for (let i = 0; i < 5; i++) link.keep(message(), false);
    link.acknowledge(2);
    expect([1, 2, 5, 6].map((received) => link.accepts(received))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });
});

describe("too much unacknowledged", () => {
  test("makes it ask at half, once for each answer, and pause at the bound", () => {
    const { link } = newLink(4 * (1000 + RETAINED_MESSAGE_BYTES));
    link.keep(message(1000), false);
    expect([link.wantsAck, link.full]).toEqual([false, false]);
    link.keep(message(1000), false);
    expect([link.wantsAck, link.full]).toEqual([true, false]);
    link.asked();
    link.keep(message(1000), false);
    link.keep(message(1000), false);
    expect([link.wantsAck, link.full]).toEqual([false, true]);
    link.acknowledge(1);
    expect([link.wantsAck, link.full]).toEqual([true, false]);
  });

  test("is counted to the byte", () => {
    for (const [missing, full, wantsAck] of [
      [1, false, true],
      [0, true, true],
    ] as const) {
      const { link } = newLink(1000);
      link.keep(message(1000 - RETAINED_MESSAGE_BYTES - missing), false);
      expect([link.full, link.wantsAck]).toEqual([full, wantsAck]);
    }
    for (const [missing, wantsAck] of [
      [1, false],
      [0, true],
    ] as const) {
      const { link } = newLink(1000);
      link.keep(message(500 - RETAINED_MESSAGE_BYTES - missing), false);
      expect([link.full, link.wantsAck]).toEqual([false, wantsAck]);
    }
  });

  test("is never more than the session's own bound, though less is left of the budget", () => {
    const { link, budget } = newLink(1000);
    expect(budget.reserve(BUDGET_BYTES)).toBe(true);
    link.keep(message(1000 - RETAINED_MESSAGE_BYTES), false);
    expect(link.full).toBe(true);
  });

  test("is less when the budget is used up, and never nothing", () => {
    const { link, budget } = newLink();
    expect(budget.reserve(BUDGET_BYTES)).toBe(true);
    expect([link.full, link.wantsAck]).toEqual([false, false]);
    link.keep(message(LEAST_RETAINED_BYTES - RETAINED_MESSAGE_BYTES), false);
    expect(link.full).toBe(true);
    budget.release(BUDGET_BYTES);
    expect(link.full).toBe(false);
  });
});

describe("what has arrived", () => {
  test("is announced once, and again when more has", () => {
    const { link } = newLink();
    for (let i = 0; i < ACK_RIDES_MESSAGES; i++) link.receive(1);
    expect([link.ackRides, link.announce(), link.ackRides]).toEqual([
      true,
      ACK_RIDES_MESSAGES,
      false,
    ]);
    expect(link.owesAck).toBe(false);
    link.receive(1);
    expect([link.owesAck, link.ackRides, link.announce()]).toEqual([
      true,
      false,
      ACK_RIDES_MESSAGES + 1,
    ]);
  });

  test("is worth an ACK from so many messages on, or so many bytes, and not before", () => {
    const { link: messages } = newLink();
    for (let i = 1; i < ACK_RIDES_MESSAGES; i++) messages.receive(0);
    expect(messages.ackRides).toBe(false);
    messages.receive(0);
    expect(messages.ackRides).toBe(true);
    const { link: bytes } = newLink();
    bytes.receive(ACK_RIDES_BYTES - 1);
    expect(bytes.ackRides).toBe(false);
    bytes.receive(1);
    expect(bytes.ackRides).toBe(true);
    bytes.announce();
    bytes.receive(ACK_RIDES_BYTES - 1);
    expect(bytes.ackRides).toBe(false);
  });
});

test("a link is untouched as long as the peer may not have heard of it", () => {
  const { link } = newLink();
  expect(link.untouched).toBe(true);
  link.keep(message(), false);
  expect(link.untouched).toBe(true);
  link.acknowledge(1);
  expect(link.untouched).toBe(false);
  const other = newLink().link;
  other.receive(1);
  expect(other.untouched).toBe(false);
});

test("whatever is sent, acknowledged and lost, the peer gets every message once and in order", () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.constant("send" as const) },
    { weight: 5, arbitrary: fc.constant("deliver" as const) },
    { weight: 2, arbitrary: fc.constant("acknowledge" as const) },
    { weight: 1, arbitrary: fc.constant("cut" as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { link: sender } = newLink();
      const { link: receiver } = newLink();
      const got: number[] = [];
      let sent = 0;
      let wire: Uint8Array[] = [];
      const deliver = (): void => {
        const next = wire.shift();
        if (next === undefined) return;
        got.push(new DataView(next.buffer).getUint32(0));
        receiver.receive(next.length);
      };
      const cut = (): void => {
        expect(sender.accepts(receiver.received)).toBe(true);
        sender.acknowledge(receiver.received);
        wire = [...sender.unacknowledged()];
      };
      for (const each of steps) {
        if (each === "send") {
          const bytes = message(4);
          new DataView(bytes.buffer).setUint32(0, sent++);
          sender.keep(bytes, false);
          wire.push(bytes);
        } else if (each === "deliver") deliver();
        else if (each === "acknowledge") sender.acknowledge(receiver.announce());
        else cut();
      }
      cut();
      while (wire.length > 0) deliver();
      expect(got).toEqual(Array.from({ length: sent }, (_, i) => i));
      sender.acknowledge(receiver.received);
      expect(sender.retainedBytes).toBe(0);
    }),
  );
});

test("what the peer needs even when nothing else is under way is owed until it is acknowledged", () => {
  const { link } = newLink();
  link.keep(message(), false);
  expect(link.owes).toBe(false);
  link.keep(message(), true);
  link.keep(message(), false);
  expect(link.owes).toBe(true);
  link.acknowledge(1);
  expect(link.owes).toBe(true);
  link.acknowledge(2);
  expect(link.owes).toBe(false);
});
