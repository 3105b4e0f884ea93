/** Mistakes that simulated runs have found, each in the fewest steps that show it. */
import { expect, test } from "vitest";
import type { Exchange } from "../../codec/exchange.ts";
import type { RequestHead } from "../../codec/frame.ts";
import { MemoryTransport, SessionPair } from "../support/pair.ts";

const get: RequestHead = { method: "GET", path: "/", headers: [], length: "none" };
const post: RequestHead = { method: "POST", path: "/", headers: [], length: 4 };

test("a request's body that is declined when it is here unread gives its memory back", async () => {
  const accepted: Exchange[] = [];
  const pair = await SessionPair.greeted({ agent: { accept: (one) => accepted.push(one) } });
  const { outgoing } = pair.edge.session.open(post);
  outgoing.write(new Uint8Array(4));
  outgoing.end();
  await pair.settle();
  expect(pair.agent.session.promisedBytes).toBe(4);
  accepted[0]?.respond({ status: 403, reason: "", headers: [], length: "none" });
  accepted[0]?.incoming.decline();
  expect(pair.agent.session.promisedBytes).toBe(0);
});

test("a body that is declined before an answer without one does not leave the stream open", async () => {
  const accepted: Exchange[] = [];
  const pair = await SessionPair.greeted({ agent: { accept: (one) => accepted.push(one) } });
  pair.edge.session.open(post);
  await pair.settle();
  accepted[0]?.incoming.decline();
  accepted[0]?.respond({ status: 403, reason: "", headers: [], length: "none" });
  await pair.settle();
  expect([pair.edge.session.streams, pair.agent.session.streams]).toEqual([0, 0]);
});

test("what an agent's ended session has served is not served again by its next one", async () => {
  const accepted: Exchange[] = [];
  const pair = new SessionPair({ agent: { accept: (one) => accepted.push(one) } });
  pair.greet();
  pair.deliver("edge");
  const exchange = pair.edge.session.open(get);
  pair.edge.transport.turn();
  pair.deliver("agent");
  expect(accepted.length).toBe(1);
  // Nothing of the agent's has reached the edge but its HELLO.
  pair.cut();
  pair.agent.dialer.end("internal-error", "");
  pair.redial();
  await pair.settle();
  pair.edge.listener.lost(pair.edge.transport, pair.agent.transport.closed?.code ?? 0, "");
  expect([accepted.length, exchange.error?.code]).toEqual([1, "agent-lost"]);
});

test("an agent's earlier session that has nothing to finish goes when it begins another, and its socket", async () => {
  const pair = await SessionPair.greeted();
  const before = pair.edge.transport;
  const first = pair.edge.session;
  first.ask();
  await pair.settle();
  // The agent has lost its session; that its socket is dead the edge does not know.
  pair.cut("agent");
  pair.agent.dialer.end("internal-error", "");
  pair.edge.transport = new MemoryTransport(pair.edge.platform);
  pair.agent.transport = new MemoryTransport(pair.agent.platform);
  pair.edge.listener.accept(pair.edge.transport, "agent");
  pair.greet();
  await pair.settle();
  expect(before.closed?.code).toBe(1000);
  expect([...pair.edge.listener.members].map(({ session }) => session)).toEqual([
    pair.edge.session,
  ]);
  expect(pair.edge.session).not.toBe(first);
});
