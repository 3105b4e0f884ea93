/** What took how long, for a visitor who asks. */
import { afterEach, describe, expect, test, vi } from "vitest";
import type { ResponseHead } from "../../codec/frame.ts";
import { headerValue } from "../../codec/headers.ts";
import { Pace } from "../../edge/pace.ts";
import { serverTiming } from "../../edge/server-timing.ts";
import { Totals } from "../../edge/totals.ts";
import { Visit } from "../../edge/visit.ts";
import { FakeAgent, newService, reply, send } from "./support/agent.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const asking = { headers: { "sluice-timing": "1" } };

function headWith(report?: string): ResponseHead {
  const headers = report === undefined ? [] : ["sluice-timing", report];
  return { status: 200, reason: "OK", headers, length: "none" };
}

describe("the field", () => {
  const measured = { queueMs: 0, awayMs: 20, stalledMs: 0 };

  test("divides the wait, with what the agent reports", () => {
    const head = headWith("slot;dur=1.25, origin;dur=12.5");
    expect(serverTiming({ queueMs: 800.04, awayMs: 20, stalledMs: 3 }, head)).toBe(
      "queue;dur=800, slot;dur=1.3, tunnel;dur=6.3, origin;dur=12.5, stalled;dur=3",
    );
  });

  test("has the origin in the tunnel when the agent reports nothing", () => {
    expect(serverTiming(measured, headWith())).toBe(
      'queue;dur=0, tunnel;dur=20;desc="with the origin", stalled;dur=0',
    );
  });

  test("never says that the tunnel took less than nothing: the agent has a clock of its own", () => {
    const head = headWith("slot;dur=0, origin;dur=20.2");
    expect(serverTiming(measured, head)).toContain("tunnel;dur=0, origin;dur=20.2");
  });

  test.each(["", "1", "slot;dur=x, origin;dur=1", "slot;dur=1, origin;dur=-1", 'a, b;desc="x"'])(
    "ignores a report that is none: %o",
    (report) => {
      expect(serverTiming(measured, headWith(report))).toBe(serverTiming(measured, headWith()));
    },
  );
});

/** What the visitor gets of one request, and what the agent got. */
async function asked(
  init: RequestInit,
  headers: readonly string[] = [],
): Promise<{ response: Response; toAgent: string | undefined }> {
  const service = newService();
  let toAgent: string | undefined;
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      toAgent = headerValue(exchange.request.headers, "sluice-timing");
      reply(exchange, "x", { headers });
    },
  });
  const response = await send(service, "/", init);
  await response.text();
  agent.close();
  return { response, toAgent };
}

test("nobody who does not ask is told, and the agent is not asked", async () => {
  for (const init of [{}, { headers: { "sluice-timing": "0" } }]) {
    const { response, toAgent } = await asked(init);
    expect(response.headers.has("server-timing")).toBe(false);
    expect(toAgent).toBeUndefined();
  }
});

test("who asks is told; the agent's own word stays inside", async () => {
  const { response, toAgent } = await asked(asking, ["sluice-timing", "slot;dur=0, origin;dur=0"]);
  expect(toAgent).toBe("1");
  expect(response.headers.get("server-timing")).toMatch(
    /^queue;dur=[\d.]+, slot;dur=0, tunnel;dur=[\d.]+, origin;dur=0, stalled;dur=0$/,
  );
  expect(response.headers.has("sluice-timing")).toBe(false);
});

test("the origin's own Server-Timing is kept, in front of ours", async () => {
  const { response } = await asked(asking, ["Server-Timing", "db;dur=53"]);
  expect(response.headers.get("server-timing")).toMatch(/^db;dur=53, queue;dur=/);
});

test("a wait for an agent that is expected back is the queue's", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service, origin: (exchange) => reply(exchange, "x") });
  agent.break();
  const waiting = send(service, "/", asking);
  await agent.redial();
  const response = await waiting;
  await response.text();
  expect(response.headers.get("server-timing")).toMatch(/^queue;dur=[\d.]+, tunnel/);
  agent.close();
});

describe("what is measured", () => {
  /** A visit whose clock stands at what `at` was called with. */
  function visiting(): { visit: Visit; at: (ms: number) => void } {
    const clock = vi.spyOn(performance, "now").mockReturnValue(1000);
    const watch = { about: {}, tally: new Totals(), pace: new Pace(), over: () => {} };
    const visited = { service: "shop", method: "GET", colo: "" };
    const visit = new Visit(visited, watch, undefined);
    return { visit, at: (ms) => void clock.mockReturnValue(1000 + ms) };
  }

  test("is the queue until an agent has it, the last one where it was tried again", () => {
    const { visit, at } = visiting();
    at(5);
    visit.sent();
    at(7);
    visit.sent();
    at(20);
    visit.answered(headWith());
    at(50);
    expect(visit.serverTiming(headWith())).toContain("queue;dur=7, tunnel;dur=13");
  });

  test("is a body that stood still, also while it still does", async () => {
    const { visit, at } = visiting();
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    visit.sent();
    const stalled = visit.stalledUntil(first.promise);
    at(4);
    first.resolve();
    await stalled;
    at(10);
    void visit.stalledUntil(second.promise);
    at(13);
    visit.answered(headWith());
    at(99);
    expect(visit.serverTiming(headWith())).toContain("stalled;dur=7");
    second.resolve();
  });

  test("is a body that the agent does not take", async () => {
    const service = newService();
    const agent = await FakeAgent.connect({
      service,
      origin: async (exchange) => {
        // Nothing is read of it: the edge fills what it may, and then waits.
        await exchange.incoming.ready();
        reply(exchange, "x");
      },
    });
    const body = new Uint8Array(2 * 1024 * 1024);
    const stalled = vi.spyOn(Visit.prototype, "stalledUntil");
    const response = await send(service, "/", { ...asking, method: "POST", body });
    await response.text();
    expect(stalled).toHaveBeenCalled();
    expect(response.headers.get("server-timing")).toContain("stalled;dur=");
    agent.close();
  });
});
