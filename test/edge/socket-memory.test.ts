import { describe, expect, test } from "vitest";
import {
  type Holder,
  LEAST_BYTES,
  MAX_ALL_UNREAD_BYTES,
  MAX_ALL_UNSENT_BYTES,
  MAX_UNREAD_BYTES,
  MAX_UNSENT_BYTES,
  SocketMemory,
} from "../../edge/socket-memory.ts";

class Visitor implements Holder {
  unreadBytes = 0;
  unsentBytes = 0;
  away = false;

  constructor(memory: SocketMemory) {
    memory.join(this);
  }

  sendAway(): void {
    this.away = true;
  }
}

/** So many visitors, each with so much unread and unsent. */
function crowd(memory: SocketMemory, many: number, bytes: number): Visitor[] {
  return Array.from({ length: many }, () =>
    Object.assign(new Visitor(memory), { unreadBytes: bytes, unsentBytes: bytes }),
  );
}

describe("what origins leave unread", () => {
  test("sends a visitor away that has more than its most, and not before", () => {
    const memory = new SocketMemory();
    const visitor = new Visitor(memory);
    visitor.unreadBytes = MAX_UNREAD_BYTES;
    memory.makeRoom(visitor, 1);
    expect(visitor.away).toBe(false);
    visitor.unreadBytes++;
    memory.makeRoom(visitor, 1);
    expect(visitor.away).toBe(true);
  });

  test("may be a message of any size, if nothing is unread before it", () => {
    const memory = new SocketMemory();
    const visitor = new Visitor(memory);
    memory.makeRoom(visitor, 4 * MAX_ALL_UNREAD_BYTES);
    expect(visitor.away).toBe(false);
  });

  test("sends the one away who has most when all have too much together, whoever speaks, and not before", () => {
    const memory = new SocketMemory();
    const rest = crowd(memory, 3, MAX_ALL_UNREAD_BYTES / 4);
    const most = new Visitor(memory);
    most.unreadBytes = MAX_ALL_UNREAD_BYTES / 4 + 1;
    const speaker = new Visitor(memory);
    memory.leave(rest.pop() as Visitor);
    memory.makeRoom(speaker, LEAST_BYTES + 1);
    expect(most.away).toBe(false);
    rest.push(...crowd(memory, 1, MAX_ALL_UNREAD_BYTES / 4));
    memory.makeRoom(speaker, LEAST_BYTES + 1);
    expect([most, speaker, ...rest].map(({ away }) => away)).toEqual([
      true,
      ...[speaker, ...rest].map(() => false),
    ]);
  });

  test("takes no room from those who hold next to nothing", () => {
    const memory = new SocketMemory();
    const all = crowd(memory, 3, MAX_ALL_UNREAD_BYTES);
    const small = new Visitor(memory);
    memory.makeRoom(small, LEAST_BYTES);
    expect(all.map(({ away }) => away)).toEqual([false, false, false]);
    expect(small.away).toBe(false);
  });
});

describe("what visitors do not take", () => {
  test("holds the origin back from its most on, and not before", () => {
    const memory = new SocketMemory();
    const visitor = new Visitor(memory);
    visitor.unsentBytes = MAX_UNSENT_BYTES;
    expect(memory.maySend(visitor)).toBe(true);
    visitor.unsentBytes++;
    expect(memory.maySend(visitor)).toBe(false);
  });

  test("holds back whoever has more than its least when it is too much together, and nobody else", () => {
    const memory = new SocketMemory();
    const behind = crowd(memory, 16, MAX_ALL_UNSENT_BYTES / 16);
    const [first = new Visitor(memory)] = behind;
    expect(memory.maySend(first)).toBe(true);
    const reader = new Visitor(memory);
    reader.unsentBytes = LEAST_BYTES;
    expect(memory.maySend(first)).toBe(false);
    expect(memory.maySend(reader)).toBe(true);
    memory.leave(reader);
    expect(memory.maySend(first)).toBe(true);
  });
});
