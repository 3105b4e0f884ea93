/** What cannot go on ends where everybody sees it, within the grace: never hanging, never with a good end. */
import { afterEach, describe, expect, test } from "vitest";
import { expectUnfinished } from "../support/unfinished.ts";
import { FaultRelay } from "../support/fault-relay.ts";
import { Origin, type Received } from "../support/origin.ts";
import type { Program } from "../support/program.ts";
import { chunk, type Place, values, Visitor } from "../support/raw-http.ts";
import { Edge } from "../support/tunnel.ts";
import { BUSY_MS, poll } from "../support/until.ts";
import { statusOf } from "../support/use-faulty-tunnel.ts";
import { useTunnel } from "../support/use-tunnel.ts";

const GRACE_MS = 2000;
const tunnel = useTunnel({ edge: ["--grace", `${GRACE_MS / 1000}s`] });

const START_MS = 30_000;

let count = 0;
const clean: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(clean.splice(0).map(async (each) => each()));
});

interface Fresh {
  readonly agent: Program;
  readonly place: Place;
  readonly service: string;
  readonly token: string;
  /** Between its agent and the edge. */
  readonly relay: FaultRelay;
}

/** An agent of a service of its own. */
async function fresh(port = tunnel.origin.port): Promise<Fresh> {
  const service = `service-${++count}`;
  const relay = await FaultRelay.start(tunnel.edge.port);
  const token = await tunnel.edge.token({ service });
  const agent = await tunnel.edge.agent({ service, port, token, url: relay.url });
  clean.push(async () => {
    await agent.stop();
    await relay.stop();
  });
  return { agent, service, token, relay, place: tunnel.edge.place(service) };
}

/** A request that the origin has received, and begun to answer. */
async function underWay(
  origin: Origin,
  place: Place,
  begun = true,
): Promise<{ visitor: Visitor; received: Received }> {
  origin.on("/under-way", ({ response }) => {
    if (begun) response.write("begun");
  });
  const arrival = origin.next(({ target }) => target === "/under-way");
  const visitor = await Visitor.connect(place);
  visitor.request({ target: "/under-way" });
  const received = await arrival;
  if (begun) await visitor.received("begun".length);
  return { visitor, received };
}

describe("an agent that is killed and has no successor", () => {
  test("leaves a 502 where no head was, a cut body where one was, and a cut upload: within the grace and two seconds", async () => {
    const { agent, place } = await fresh();
    const headless = await underWay(tunnel.origin, place, false);
    const begun = await underWay(tunnel.origin, place);
    const uploading = await Visitor.connect(place);
    const arrival = tunnel.origin.next(({ target }) => target === "/upload");
    uploading.begin("POST", "/upload", [["Transfer-Encoding", "chunked"]]);
    uploading.write(chunk("some of it"));
    const upload = await arrival;
    const killed = performance.now();
    agent.kill("SIGKILL");
    const [first, second, third] = await Promise.all([
      headless.visitor.answer(),
      begun.visitor.answer(),
      uploading.fate(),
    ]);

    expect(performance.now() - killed).toBeLessThan(GRACE_MS + 2000 + BUSY_MS);
    expect(performance.now() - killed).toBeGreaterThan(GRACE_MS - 200);
    expect([first.status, values(first.fields, "sluice-error")]).toEqual([502, ["agent-lost"]]);
    expect([second.body.toString(), second.ended]).toEqual(["begun", "cut"]);
    expectUnfinished(third, "agent-lost");
    await Promise.all([headless, begun].map(async ({ received }) => received.gone()));
    await upload.gone();
    for (const visitor of [headless.visitor, begun.visitor, uploading]) visitor.leave();
  });

  test("leaves its service offline: 503 with Retry-After, and nothing held", async () => {
    const { agent, place, service, token } = await fresh();
    agent.kill("SIGKILL");
    await agent.exit();
    const asked = performance.now();
    const answer = await Visitor.ask(place);

    expect(performance.now() - asked).toBeLessThan(GRACE_MS + 2000 + BUSY_MS);
    expect([answer.status, values(answer.fields, "sluice-error")]).toEqual([
      503,
      ["agent-offline"],
    ]);
    expect(Number(values(answer.fields, "retry-after")[0])).toBeGreaterThan(0);
    expect(await statusOf(tunnel.edge, service, token)).toMatchObject({
      agents: [],
      waiting: 0,
      promisedBytes: 0,
      retainedBytes: 0,
    });
  });
});

describe("an agent that cannot reach the edge for longer than the grace", () => {
  test("finds its exchanges ended at both ends, then serves new ones on another session", async () => {
    const { agent, place, relay } = await fresh();
    const { visitor, received } = await underWay(tunnel.origin, place);
    const from = agent.events.length;
    relay.refuses = true;
    relay.cut("rst");
    const answer = await visitor.answer();
    visitor.leave();
    await received.gone();
    const refused = await Visitor.ask(place);
    relay.refuses = false;
    await agent.event("connected", undefined, from, START_MS);

    expect([answer.body.toString(), answer.ended]).toEqual(["begun", "cut"]);
    expect(refused.status).toBe(503);
    expect((await Visitor.ask(place)).status).toBe(200);
  });
});

test("an origin that dies in the middle of its answer: the visitor's is cut, at once", async () => {
  const origin = await Origin.start();
  const { place } = await fresh(origin.port);
  const { visitor } = await underWay(origin, place);
  const died = performance.now();
  await origin.stop();
  const answer = await visitor.answer();
  visitor.leave();

  expect(performance.now() - died).toBeLessThan(BUSY_MS);
  expect([answer.body.toString(), answer.ended]).toEqual(["begun", "cut"]);
});

describe("an edge that is killed and comes back on the same port", () => {
  test("has its agent back within two seconds; what was in flight has ended at both ends; new requests work", async () => {
    const first = await Edge.start();
    clean.push(async () => first.stop());
    const agent = await first.agent({ service: "shop", port: tunnel.origin.port });
    const { visitor, received } = await underWay(tunnel.origin, first.place("shop"));
    const from = agent.events.length;
    const { workerdPid } = first;
    first.program.kill("SIGKILL");
    process.kill(workerdPid, "SIGKILL");
    expect((await visitor.answer()).ended).toBe("cut");
    visitor.leave();
    await agent.event("disconnected", undefined, from);
    const second = await first.again();
    clean.push(async () => second.stop());
    const up = performance.now();
    await agent.event("connected", undefined, from, START_MS);

    expect(performance.now() - up).toBeLessThan(2000 + BUSY_MS);
    await received.gone();
    expect((await Visitor.ask(second.place("shop"))).status).toBe(200);
  }, 60_000);
});

describe("two agents of a service", () => {
  /** What each of them has served. */
  const served = (agent: Program): number =>
    agent.events.filter(({ event }) => event === "request").length;

  async function pair(): Promise<Fresh & { second: Program }> {
    const one = await fresh();
    const { service, token } = one;
    const second = await tunnel.edge.agent({ service, port: tunnel.origin.port, token });
    clean.push(async () => second.stop());
    return { ...one, second };
  }

  test.for(["SIGKILL", "SIGTERM"] as const)(
    "one gets %s: its share moves to the other; what may have reached an origin fails visibly, all else goes through",
    async (signal) => {
      const { agent, second, place } = await pair();
      tunnel.origin.on("/shared", ({ response }) => response.end("shared"));
      const wrong: string[] = [];
      let going = true;
      const work = async (): Promise<void> => {
        while (going) {
          const { status, body, fields } = await Visitor.ask(place, { target: "/shared" });
          if (status === 200 && body.toString() === "shared") continue;
          wrong.push(`${status} ${values(fields, "sluice-error").join("")}`);
        }
      };
      const workers = Array.from({ length: 8 }, work);
      await poll(() => served(agent) > 20 && served(second) > 20, "both serving");
      agent.kill(signal);
      const { code } = await agent.exit();
      const before = served(second);
      await poll(() => served(second) > before + 50, "the other carrying on");
      going = false;
      await Promise.all(workers);

      if (signal === "SIGTERM") {
        expect([code, wrong]).toEqual([0, []]);
      } else {
        // Those that the dead one had taken: never more than were under way, and never in disguise.
        expect(wrong.length).toBeLessThanOrEqual(8);
        expect(new Set([...wrong, "502 agent-lost"])).toEqual(new Set(["502 agent-lost"]));
      }
    },
  );

  test("`--replace`: the new one takes over; the old one finishes what it has, and exits with 0", async () => {
    const { agent, place, service, token } = await fresh();
    const { visitor, received } = await underWay(tunnel.origin, place);
    const flags = ["--replace"];
    const { port } = tunnel.origin;
    const next = await tunnel.edge.agent({ service, port, token, flags });
    clean.push(async () => next.stop());
    expect((await agent.event("draining"))["inFlight"]).toBe(1);
    for (let i = 0; i < 10; i++) expect((await Visitor.ask(place)).status).toBe(200);
    await next.event("request");
    expect([served(agent), agent.ended]).toEqual([0, false]);

    received.response.end(" and finished");
    const answer = await visitor.answer();
    visitor.leave();
    expect([answer.body.toString(), answer.ended]).toEqual(["begun and finished", "complete"]);
    expect(await agent.exit()).toEqual({ code: 0, signal: null });
  });

  test("an agent that drains finishes what it has though its socket is lost meanwhile", async () => {
    const { agent, place, relay } = await fresh();
    const { visitor, received } = await underWay(tunnel.origin, place);
    agent.kill("SIGTERM");
    await agent.event("draining");
    const from = agent.events.length;
    relay.cut("rst");
    await agent.event("resumed", undefined, from);
    received.response.end(" and finished");
    const answer = await visitor.answer();
    visitor.leave();

    expect([answer.body.toString(), answer.ended]).toEqual(["begun and finished", "complete"]);
    expect(await agent.exit()).toEqual({ code: 0, signal: null });
  });
});
