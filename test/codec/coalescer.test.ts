/** When requests leave an edge: at once, or together. Time is a number, and nothing moves but by a call. */
import { describe, expect, test } from "vitest";
import { COALESCE_BESIDE, COALESCE_MS, COALESCED_REQUESTS } from "../../codec/limits.ts";
import { get, greeted, type Greeted, ok, watchRejections } from "../support/exchanges.ts";
import { messageOf } from "../support/pair.ts";

watchRejections();

/** A greeted pair whose edge has opened `unanswered` exchanges, all of which have left. */
async function beside(unanswered: number): Promise<Greeted> {
  const made = await greeted();
  for (let i = 0; i < unanswered; i++) made.pair.edge.session.open(get);
  await made.pair.settle();
  return made;
}

/** Opens an exchange at the edge, and lets the edge do what it does at once. */
function open({ pair }: Greeted): void {
  pair.edge.session.open(get);
  pair.edge.transport.turn();
}

/** Lets a moment pass at the edge. */
function wait({ pair }: Greeted, ms: number): void {
  pair.clock.now += ms;
  pair.edge.platform.ring();
  pair.edge.transport.turn();
}

/** How many requests there are in each message that has left the edge and not arrived. */
function leaving({ pair }: Greeted): number[] {
  return pair.edge.transport
    .frames()
    .map((frames) => frames.filter(({ kind }) => kind === "request").length);
}

describe("a request", () => {
  test("leaves at once beside a few that are unanswered, however soon it follows another", async () => {
    const made = await beside(0);
    for (let i = 1; i <= COALESCE_BESIDE; i++) {
      open(made);
      expect(leaving(made)).toEqual(Array(i).fill(1));
    }
    expect(made.pair.edge.platform.timers).toBe(0);
  });

  test("leaves at once beside many too, when none has left just before", async () => {
    const made = await beside(COALESCE_BESIDE);
    open(made);
    expect(leaving(made)).toEqual([1]);
    wait(made, COALESCE_MS);
    open(made);
    expect(leaving(made)).toEqual([1, 1]);
  });

  test("that follows it waits for the end of the moment, and leaves with what came meanwhile", async () => {
    const made = await beside(COALESCE_BESIDE);
    open(made);
    for (let i = 0; i < 3; i++) open(made);
    wait(made, COALESCE_MS / 2);
    expect(leaving(made)).toEqual([1]);
    wait(made, COALESCE_MS / 2);
    expect(leaving(made)).toEqual([1, 3]);
  });

  test("begins no new moment by itself: messages are one a moment at most", async () => {
    const made = await beside(COALESCE_BESIDE);
    for (let i = 0; i < 2; i++) open(made);
    wait(made, COALESCE_MS);
    open(made);
    expect(leaving(made)).toEqual([1, 1]);
    wait(made, COALESCE_MS);
    expect(leaving(made)).toEqual([1, 1, 1]);
  });

  test("waits no longer when there are enough for a message", async () => {
    const made = await beside(COALESCE_BESIDE);
    open(made);
    for (let i = 1; i < COALESCED_REQUESTS; i++) open(made);
    expect(leaving(made)).toEqual([1]);
    open(made);
    expect(leaving(made)).toEqual([1, COALESCED_REQUESTS]);
  });

  test("goes along with whatever else leaves", async () => {
    const made = await beside(COALESCE_BESIDE);
    for (let i = 0; i < 2; i++) open(made);
    made.pair.edge.receive(messageOf({ kind: "ping", token: 1 }));
    made.pair.edge.transport.turn();
    expect(leaving(made)).toEqual([1, 1]);
    // Nothing is left for the moment's end.
    wait(made, COALESCE_MS);
    expect([leaving(made), made.pair.edge.platform.timers]).toEqual([[1, 1], 0]);
  });

  test("that is held counts as never sent: it may go to another agent", async () => {
    const made = await beside(COALESCE_BESIDE);
    open(made);
    const held = made.pair.edge.session.open(get);
    const failed = expect(held.answer()).rejects.toMatchObject({ code: "agent-offline" });
    made.pair.edge.session.lost();
    await failed;
  });
});

test("those that are answered count no more", async () => {
  const made = await beside(COALESCE_BESIDE);
  made.accepted[0]?.respond(ok);
  await made.pair.settle();
  open(made);
  expect([leaving(made), made.pair.edge.platform.timers]).toEqual([[1], 0]);
});

test("a session that ends leaves no timer", async () => {
  const made = await beside(COALESCE_BESIDE);
  for (let i = 0; i < 2; i++) open(made);
  expect(made.pair.edge.platform.timers).toBe(1);
  made.pair.edge.session.end("draining");
  expect(made.pair.edge.platform.timers).toBe(0);
});
