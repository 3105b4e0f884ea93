/** Agents and edges that come, go, die and come back, and what visitors see of it. */
import { afterEach, describe, expect, test } from "vitest";
import type { Received } from "../support/origin.ts";
import type { Program } from "../support/program.ts";
import { type Place, values, Visitor } from "../support/raw-http.ts";
import { Edge } from "../support/tunnel.ts";
import { poll } from "../support/until.ts";
import { useTunnel } from "../support/use-tunnel.ts";

// Long enough for an agent to start meanwhile, short enough to wait for.
const GRACE = ["--grace", "3s"];
const tunnel = useTunnel({ edge: GRACE });

const START_MS = 30_000;

let count = 0;
const agents: Program[] = [];
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.stop()));
});

/** An agent of a service of its own, so that tests do not meet. */
async function freshAgent(
  flags: readonly string[] = [],
): Promise<{ agent: Program; place: Place; service: string }> {
  const service = `service-${++count}`;
  const agent = await tunnel.edge.agent({ service, port: tunnel.origin.port, flags });
  agents.push(agent);
  return { agent, service, place: tunnel.edge.place(service) };
}

/** A request that the origin has received and not finished. */
async function underWay(
  place: Place,
  begun = true,
): Promise<{ visitor: Visitor; received: Received }> {
  tunnel.origin.on("/under-way", ({ response }) => {
    if (begun) response.write("begun");
  });
  const arrival = tunnel.origin.next(({ target }) => target === "/under-way");
  const visitor = await Visitor.connect(place);
  visitor.request({ target: "/under-way" });
  const received = await arrival;
  if (begun) await visitor.received("begun".length);
  return { visitor, received };
}

/** The agents that the status page knows. */
async function agentsOf(service: string, token: string): Promise<{ readonly streams: number }[]> {
  const fields = [["Authorization", `Bearer ${token}`]] as const;
  const { status, body } = await Visitor.ask(tunnel.edge.self, {
    target: `/status/${service}`,
    fields,
  });
  expect(status).toBe(200);
  return (JSON.parse(body.toString()) as { agents: { streams: number }[] }).agents;
}

describe("an agent that is told to end", () => {
  test("ends at once, with 0, when nothing is under way", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const { agent } = await freshAgent();
      agent.kill(signal);

      // Its grace is longer than we wait.
      expect(await agent.exit()).toEqual({ code: 0, signal: null });
    }
  });

  test("finishes what is under way, takes nothing new, and ends with 0", async () => {
    const { agent, place } = await freshAgent();
    const { visitor, received } = await underWay(place);
    agent.kill("SIGTERM");
    expect((await agent.event("draining"))["inFlight"]).toBe(1);

    const refused = await Visitor.ask(place, { target: "/new" });
    expect([refused.status, values(refused.fields, "sluice-error")]).toEqual([503, ["draining"]]);
    expect(Number(values(refused.fields, "retry-after")[0])).toBeGreaterThan(0);
    expect(agent.ended).toBe(false);

    received.response.end(" and finished");
    const answer = await visitor.answer();
    visitor.leave();
    expect([answer.body.toString(), answer.ended]).toEqual(["begun and finished", "complete"]);
    expect(await agent.exit()).toEqual({ code: 0, signal: null });
  });

  test("twice ends at once and says by which signal", async () => {
    for (const [signal, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const) {
      const { agent, place } = await freshAgent();
      const { visitor } = await underWay(place);
      agent.kill(signal);
      await agent.event("draining");
      agent.kill(signal);

      expect(await agent.exit()).toEqual({ code, signal: null });
      expect((await visitor.answer()).ended).toBe("cut");
      visitor.leave();
    }
  });
});

// What becomes of its exchanges: `ends-visibly.test.ts`.
test("an agent that dies is waited for a moment: a request made meanwhile goes to the next one", async () => {
  const { agent, place, service } = await freshAgent();
  const token = await tunnel.edge.token({ service });
  agent.kill("SIGKILL");
  await poll(async () => (await agentsOf(service, token)).length === 0, "the edge noticing");
  const [next, answer] = await Promise.all([
    tunnel.edge.agent({ service, port: tunnel.origin.port, token }),
    Visitor.ask(place, {}, START_MS),
  ]);
  agents.push(next);

  expect(answer.status).toBe(200);
});

describe("several agents", () => {
  test("of one service share its requests, and one alone carries on", async () => {
    const { agent, place, service } = await freshAgent();
    const second = await tunnel.edge.agent({ service, port: tunnel.origin.port });
    agents.push(second);
    // With one request under way at the one, the next goes to the other.
    const held = await underWay(place);
    const alsoHeld = await underWay(place);
    for (const { visitor, received } of [held, alsoHeld]) {
      received.response.end();
      await visitor.answer();
      visitor.leave();
    }
    await Promise.all([agent.event("request"), second.event("request")]);
    agent.kill("SIGTERM");
    await agent.exit();

    expect((await Visitor.ask(place)).status).toBe(200);
  });

  test("of different services never meet", async () => {
    const one = await freshAgent();
    const other = await freshAgent();
    await Visitor.ask(one.place, { target: "/for-one" });
    await Visitor.ask(other.place, { target: "/for-other" });

    expect((await one.agent.event("request"))["path"]).toBe("/for-one");
    expect((await other.agent.event("request"))["path"]).toBe("/for-other");
  });
});

test("an agent tells of each exchange how it went", async () => {
  const { agent, place } = await freshAgent();
  await Visitor.ask(place, { method: "POST", target: "/told?a=b", body: "four" });
  const told = await agent.event("request");

  expect(told).toMatchObject({ method: "POST", path: "/told?a=b", status: 200, bytesIn: 4 });
  expect(told["bytesOut"]).toBe("POST /told?a=b\n".length);
  expect(told["ms"]).toBeTypeOf("number");
  expect(told["outcome"]).toBeTypeOf("string");
  expect(Math.abs(told.at - Date.now())).toBeLessThan(60_000);
});

describe("the status page", () => {
  test("tells a holder of the service's token what is connected and under way", async () => {
    const { service, place } = await freshAgent();
    const token = await tunnel.edge.token({ service });
    const { visitor } = await underWay(place);
    const connected = await agentsOf(service, token);
    visitor.reset();

    expect(connected.map(({ streams }) => streams)).toEqual([1]);
  });

  test("tells nobody else anything", async () => {
    const { service } = await freshAgent();
    const token = await tunnel.edge.token({ service: "other" });
    for (const fields of [[], [["Authorization", `Bearer ${token}`]]] as const) {
      const answer = await Visitor.ask(tunnel.edge.self, { target: `/status/${service}`, fields });
      expect([answer.status, values(answer.fields, "sluice-error")]).toEqual([
        401,
        ["unauthorized"],
      ]);
    }
  });
});

describe("an edge that ends and comes back", () => {
  test("is dialled again by its agents, and serves as before", async () => {
    const first = await Edge.start();
    const agent = await first.agent({ service: "shop", port: tunnel.origin.port });
    expect((await Visitor.ask(first.place("shop"))).status).toBe(200);
    const seen = agent.events.length;

    first.program.kill("SIGTERM");
    expect(await first.program.exit()).toEqual({ code: 0, signal: null });
    await agent.event("disconnected", undefined, seen);
    const second = await first.again();
    await agent.event("connected", undefined, seen, START_MS);

    expect((await Visitor.ask(second.place("shop"))).status).toBe(200);
    await second.stop();
    await first.stop();
  }, 60_000);

  test("cuts what was under way, at both ends", async () => {
    const edge = await Edge.start(GRACE);
    await edge.agent({ service: "shop", port: tunnel.origin.port });
    const { visitor, received } = await underWay(edge.place("shop"));
    edge.program.kill("SIGTERM");

    expect((await visitor.answer()).ended).toBe("cut");
    visitor.leave();
    await received.gone();
    await edge.stop();
  }, 60_000);
});
