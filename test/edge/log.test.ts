/** What the Worker's log says, and how little. */
import { env } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Allowance } from "../../edge/log.ts";
import { FakeAgent, HeldAnswer, newAgentId, newService, reply, send } from "./support/agent.ts";
import { SOON_MS } from "./support/soon.ts";

interface Line {
  readonly event: string;
  readonly service: string;
  readonly code?: string;
}

let service = "";

/** The lines about `service`, of either kind. */
const lines: Line[] = [];

beforeEach(() => {
  service = newService();
  lines.length = 0;
  for (const level of ["log", "error"] as const) {
    vi.spyOn(console, level).mockImplementation((line: Line) => {
      if (line.service === service) lines.push(line);
    });
  }
});

afterEach(() => {
  vi.restoreAllMocks();
});

function connect(
  options: Partial<Parameters<typeof FakeAgent.connect>[0]> = {},
): Promise<FakeAgent> {
  return FakeAgent.connect({
    service,
    origin: (exchange) => reply(exchange, "x"),
    ...options,
  });
}

describe("an agent", () => {
  test("that comes and goes is two lines", async () => {
    const id = newAgentId();
    const agent = await connect({ agent: id, shard: 2 });
    const { id: session } = agent.session;
    const about = { service, shard: 2, agent: id, session };
    agent.close(4041, "bye");
    await agent.closed;
    await vi.waitFor(() => expect(lines).toHaveLength(2), SOON_MS);
    expect(lines).toEqual([
      {
        event: "agent-connected",
        ...about,
        resumed: false,
        software: "fake-agent/1",
        secret: "current",
        agents: 1,
      },
      { event: "agent-gone", ...about, code: "shutting-down", reason: "bye" },
    ]);
  });

  test("that loses its connection in the middle of a request, and comes back, is two lines more", async () => {
    const held = new HeldAnswer();
    const agent = await connect({
      origin: held.origin,
    });
    const answer = send(service);
    await held.begun;
    lines.length = 0;
    agent.break();
    await vi.waitFor(() => expect(lines).toHaveLength(1), SOON_MS);
    await agent.redial();
    held.end();
    expect((await answer).status).toBe(200);
    expect(lines).toMatchObject([
      { event: "agent-disconnected", code: "agent-lost", streams: 1 },
      { event: "agent-connected", resumed: true },
    ]);
    agent.close();
  });

  test("that leaves while the object sleeps is a line all the same", async () => {
    const id = newAgentId();
    const agent = await connect({ agent: id });
    await evictDurableObject(env.CORRELATOR.getByName(service), { webSockets: "hibernate" });
    lines.length = 0;
    agent.close(1001, "going");
    await agent.closed;
    await vi.waitFor(() => expect(lines).toHaveLength(1), SOON_MS);
    expect(lines).toMatchObject([{ event: "agent-gone", agent: id, code: "agent-lost", service }]);
  });
});

test("requests, refusals and wakes are no lines", async () => {
  const agent = await connect({
    origin: (exchange) => {
      if (exchange.request.path === "/refused") exchange.cancel("origin-refused");
      else reply(exchange, "x");
    },
  });
  lines.length = 0;
  for (let sleep = 0; sleep < 2; sleep++) {
    for (const path of ["/", "/refused"]) await (await send(service, path)).text();
    await evictDurableObject(env.CORRELATOR.getByName(service), { webSockets: "hibernate" });
  }
  await (await send(service)).text();
  expect(lines).toEqual([]);
  agent.close();
});

describe("the allowance", () => {
  test("is thirty lines at once and thirty a minute, and tells how many it withheld", () => {
    const allowance = new Allowance();
    const start = 1_700_000_000_000;
    for (let i = 0; i < 30; i++) expect(allowance.take(start)).toBe(0);
    for (let i = 0; i < 7; i++) expect(allowance.take(start + 1999)).toBeUndefined();
    expect(allowance.take(start + 2000)).toBe(7);
    expect(allowance.take(start + 2000)).toBeUndefined();
    let through = 0;
    for (let ms = 2001; ms <= 62_000; ms++) {
      if (allowance.take(start + ms) !== undefined) through++;
    }
    expect(through).toBe(30);
  });

  test("does not grow beyond thirty lines", () => {
    const allowance = new Allowance();
    allowance.take(0);
    let through = 0;
    while (allowance.take(86_400_000) !== undefined) through++;
    expect(through).toBe(30);
  });

  test("bounds what a failing edge writes, and faults have one of their own", async () => {
    const agent = await connect({ origin: (exchange) => exchange.cancel("internal-error") });
    lines.length = 0;
    for (let i = 0; i < 50; i++) await (await send(service)).text();
    expect(lines.length).toBeLessThanOrEqual(31);
    expect(lines[0]).toMatchObject({ event: "fault", code: "internal-error", where: "correlator" });
    agent.close();
  });
});
