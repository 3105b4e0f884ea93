/** An agent is away, silent or gone: what its requests see, what waits for it, and who serves instead. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Exchange } from "../../codec/exchange.ts";
import { DEAD_AFTER_MS, EDGE_RETAIN_BYTES, SUSPECT_AFTER_MS } from "../../codec/limits.ts";
import { bodyOf, FakeAgent, newService, type Origin, reply, send } from "./support/agent.ts";
import { statusOf, statusWhen } from "./support/status.ts";

/** The grace of the edge in these tests, GRACE_SECONDS in `vitest.config.ts`. */
const GRACE_MS = 1000;

/** Time stands still until a test lets it pass: no grace ends because the machine is slow. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Lets `ms` pass for the object of `service`, and for the agents of the test. */
async function pass(service: string, ms: number): Promise<void> {
  const stub = env.CORRELATOR.getByName(service);
  await runInDurableObject(stub, () => void vi.advanceTimersByTime(ms));
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const said = (response: Response): [number, string | null] => [
  response.status,
  response.headers.get("sluice-error"),
];

/** An agent that holds what is asked of /held, and answers everything else with its name. */
class Holder {
  readonly agent: FakeAgent;
  readonly held: Exchange[];
  /** The paths that it was asked for. */
  readonly asked: string[];

  private constructor(agent: FakeAgent, held: Exchange[], asked: string[]) {
    this.agent = agent;
    this.held = held;
    this.asked = asked;
  }

  static async connect(service: string, name: string): Promise<Holder> {
    const held: Exchange[] = [];
    const asked: string[] = [];
    const origin: Origin = (exchange) => {
      const { path } = exchange.request;
      asked.push(path);
      if (path === "/held") held.push(exchange);
      else reply(exchange, name);
    };
    return new Holder(await FakeAgent.connect({ service, origin }), held, asked);
  }

  /** The connection breaks, and the edge has noticed. */
  async break(): Promise<void> {
    this.agent.break();
    await this.agent.closed;
  }
}

interface Busy {
  readonly service: string;
  readonly holder: Holder;
  readonly exchange: Exchange;
  /** The answer to the request that is held. */
  readonly answer: Promise<Response>;
}

/** A service whose only agent has one request in flight. */
async function busy(path = "/held", init?: RequestInit): Promise<Busy> {
  const service = newService();
  const holder = await Holder.connect(service, "back");
  const answer = send(service, path, init);
  await statusWhen(service, () => holder.held.length === 1);
  const [exchange] = holder.held;
  if (exchange === undefined) throw new Error("nothing is held");
  return { service, holder, exchange, answer };
}

describe("requests that arrive while the agent is away", () => {
  test("wait, a thousand of them and no more, and go through when it is back", async () => {
    const { service, holder, exchange, answer } = await busy();
    await holder.break();
    const waiting = Array.from({ length: 1000 }, () => send(service));
    await statusWhen(service, (page) => page.waiting === 1000);
    const oneMore = await send(service);
    expect(said(oneMore)).toEqual([503, "agent-offline"]);
    expect(oneMore.headers.get("retry-after")).toBe("2");
    expect((await statusOf(service)).waiting).toBe(1000);
    await holder.agent.redial();
    const texts = await Promise.all(waiting.map(async (each) => (await each).text()));
    expect(new Set(texts)).toEqual(new Set(["back"]));
    expect((await statusOf(service)).waiting).toBe(0);
    reply(exchange, "held");
    expect(await (await answer).text()).toBe("held");
    holder.agent.close();
  });

  test("wait as long as their heads fit into 8 MiB", async () => {
    const { service, holder, exchange, answer } = await busy();
    await holder.break();
    const large = { headers: { "x-large": "a".repeat(60_000) } };
    // Two bytes a character: 69 fit, with some 60 KB left for small ones.
    const waiting = Array.from({ length: 69 }, () => send(service, "/", large));
    await statusWhen(service, (page) => page.waiting === 69);
    expect(said(await send(service, "/", large))).toEqual([503, "agent-offline"]);
    waiting.push(send(service));
    await statusWhen(service, (page) => page.waiting === 70);
    await holder.agent.redial();
    for (const each of waiting) expect(await (await each).text()).toBe("back");
    // All of the room is there again.
    reply(exchange, "held");
    await (await answer).text();
    holder.agent.close();
  });

  test("wait no longer than the grace", async () => {
    const { service, holder, answer } = await busy();
    await holder.break();
    const waiting = send(service);
    await statusWhen(service, (page) => page.waiting === 1);
    await pass(service, GRACE_MS - 1);
    expect((await statusOf(service)).waiting).toBe(1);
    await pass(service, 1);
    const response = await waiting;
    expect(said(response)).toEqual([503, "agent-offline"]);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(said(await answer)).toEqual([502, "agent-lost"]);
    expect(await statusOf(service)).toMatchObject({ waiting: 0, agents: [] });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("keep their bodies in the visitor's own socket until then", async () => {
    const { service, holder, exchange, answer } = await busy();
    await holder.break();
    const waiting = send(service, "/held", { method: "POST", body: "a".repeat(100_000) });
    await statusWhen(service, (page) => page.waiting === 1);
    expect((await statusOf(service)).retainedBytes).toBeLessThan(10_000);
    await holder.agent.redial();
    await statusWhen(service, () => holder.held.length === 2);
    const [, upload] = holder.held;
    if (upload === undefined) throw new Error("nothing came");
    reply(upload, String((await bodyOf(upload)).length));
    expect(await (await waiting).text()).toBe("100000");
    reply(exchange);
    await answer;
    holder.agent.close();
  });

  test("free their places when their visitors go", async () => {
    const { service, holder, exchange, answer } = await busy();
    await holder.break();
    const visitor = new AbortController();
    const waiting = send(service, "/gone", { signal: visitor.signal });
    await statusWhen(service, (page) => page.waiting === 1);
    visitor.abort();
    await expect(waiting).rejects.toThrow();
    await statusWhen(service, (page) => page.waiting === 0);
    await holder.agent.redial();
    reply(exchange, "held");
    expect(await (await answer).text()).toBe("held");
    expect(holder.asked).toEqual(["/held"]);
    holder.agent.close();
  });

  test("go to another agent at once if there is one", async () => {
    const { service, holder, exchange, answer } = await busy();
    const other = await Holder.connect(service, "other");
    await holder.break();
    expect(await (await send(service)).text()).toBe("other");
    await holder.agent.redial();
    reply(exchange, "held");
    expect(await (await answer).text()).toBe("held");
    holder.agent.close();
    other.agent.close();
  });
});

describe("a request in flight", () => {
  test("gets again, both ways, what was on its way when the socket broke", async () => {
    const body = new TransformStream<Uint8Array, Uint8Array>();
    const writer = body.writable.getWriter();
    const { holder, exchange, answer } = await busy("/held", {
      method: "POST",
      body: body.readable,
    });
    const { agent } = holder;
    const uploaded = bodyOf(exchange);
    exchange.respond({ status: 200, reason: "OK", headers: [], length: "unknown" });
    const response = await answer;
    let expected = "";
    for (let cut = 0; cut < 3; cut++) {
      // Neither end hears the other any more, and neither knows.
      const deaf = vi.spyOn(agent.dialer, "receive").mockImplementation(() => {});
      vi.spyOn(agent.ws, "send").mockImplementation(() => {});
      exchange.outgoing.write(encode(`down ${cut} `));
      await writer.write(encode(`up ${cut} `));
      expected += `up ${cut} `;
      await holder.break();
      deaf.mockRestore();
      await agent.redial();
    }
    await writer.close();
    expect(await uploaded).toBe(expected);
    exchange.outgoing.end();
    expect(await response.text()).toBe(expected.replaceAll("up", "down"));
    expect(agent.resumed).toEqual([false, true, true, true]);
    agent.close();
  });

  test("is shown on the status page, as is what waits to be acknowledged, and nothing of it when it is over", async () => {
    const { service, holder, exchange, answer } = await busy();
    expect((await statusOf(service)).agents).toMatchObject([
      { connected: true, ready: true, streams: 1 },
    ]);
    await holder.break();
    const away = await statusOf(service);
    expect(away.agents).toMatchObject([
      { connected: false, ready: false, streams: 1, retainedBytes: expect.any(Number) },
    ]);
    expect(away.retainedBytes).toBeGreaterThan(0);
    expect(away.agents[0]?.["retainedBytes"]).toBe(away.retainedBytes);
    await holder.agent.redial();
    reply(exchange, "held");
    await (await answer).text();
    expect((await statusOf(service)).agents).toMatchObject([
      { connected: true, ready: true, streams: 0 },
    ]);
    expect(vi.getTimerCount()).toBe(0);
    holder.agent.close();
  });

  test("fails as agent-lost at the end of the grace, and not before, and is tried nowhere else", async () => {
    const { service, holder, answer } = await busy();
    const other = await Holder.connect(service, "other");
    await holder.break();
    await pass(service, GRACE_MS - 1);
    expect((await statusOf(service)).agents).toHaveLength(2);
    await pass(service, 1);
    expect(said(await answer)).toEqual([502, "agent-lost"]);
    expect((await statusOf(service)).agents).toHaveLength(1);
    expect(other.asked).toEqual([]);
    other.agent.close();
  });

  test.each(["unknown", 100] as const)(
    "is cut, never ended, at the end of the grace, if its answer of length %s has begun",
    async (length) => {
      const { service, holder, exchange, answer } = await busy();
      exchange.respond({ status: 200, reason: "OK", headers: [], length });
      exchange.outgoing.write(encode("half"));
      const reader = (await answer).body?.getReader();
      expect((await reader?.read())?.value).toEqual(encode("half"));
      await holder.break();
      const cut = expect(reader?.read()).rejects.toThrow();
      await pass(service, GRACE_MS);
      await cut;
    },
  );

  test("fails on the agent's side too when the agent comes back too late, and new ones go through", async () => {
    const { service, holder, exchange, answer } = await busy();
    await holder.break();
    await pass(service, GRACE_MS);
    expect(said(await answer)).toEqual([502, "agent-lost"]);
    await holder.agent.redial();
    expect(holder.agent.resumed).toEqual([false, false]);
    expect(exchange.error?.code).toBe("agent-lost");
    expect(await (await send(service)).text()).toBe("back");
    holder.agent.close();
  });

  test("that never left goes to another agent when its own is lost, and none that may have left does", async () => {
    const service = newService();
    const lost = await Holder.connect(service, "lost");
    vi.spyOn(lost.agent.dialer, "receive").mockImplementation(() => {});
    // Each has credit for 16 KiB. What fills the edge's memory of unacknowledged messages leaves no room for the last one.
    const body = "a".repeat(16 * 1024);
    const uploads: Promise<Response>[] = [];
    const upload = (count: number): void => {
      for (let i = 0; i < count; i++)
        uploads.push(send(service, "/upload", { method: "POST", body }));
    };
    upload(EDGE_RETAIN_BYTES / body.length - 32);
    let retained = uploads.length * body.length;
    for (;;) {
      const page = await statusWhen(service, ({ retainedBytes }) => retainedBytes >= retained);
      if (page.retainedBytes >= EDGE_RETAIN_BYTES) break;
      // One at a time: each of them has left at least in part.
      upload(1);
      retained = Math.min(page.retainedBytes + body.length, EDGE_RETAIN_BYTES);
    }
    const last = send(service, "/last");
    await statusWhen(service, ({ agents: [row] }) => row?.["streams"] === uploads.length + 1);
    const other = await Holder.connect(service, "other");
    lost.agent.break();
    await lost.agent.closed;
    await pass(service, GRACE_MS);
    expect(await (await last).text()).toBe("other");
    const ends = await Promise.all(uploads.map(async (each) => said(await each)));
    expect(new Set(ends.map(String))).toEqual(new Set(["502,agent-lost"]));
    expect(other.asked).toEqual(["/last"]);
    const after = await statusOf(service);
    expect(after.promisedBytes).toBe(0);
    // The other agent's one request, which it need not acknowledge yet.
    expect(after.retainedBytes).toBeLessThan(1000);
    other.agent.close();
  });

  test("whose visitor leaves while the agent is away is cancelled when it is back", async () => {
    const service = newService();
    const holder = await Holder.connect(service, "back");
    const visitor = new AbortController();
    const answer = send(service, "/held", { signal: visitor.signal });
    await statusWhen(service, () => holder.held.length === 1);
    const cancelled = Promise.withResolvers<string>();
    const [exchange] = holder.held;
    if (exchange === undefined) throw new Error("nothing is held");
    exchange.onCancel = ({ code }) => cancelled.resolve(code);
    // From then on the visitor is watched.
    await pass(service, 100);
    await holder.break();
    visitor.abort();
    await expect(answer).rejects.toThrow();
    await holder.agent.redial();
    expect(await cancelled.promise).toBe("cancelled");
    await statusWhen(service, ({ agents: [row] }) => row?.["streams"] === 0);
    holder.agent.close();
  });
});

test("an idle agent's session is not kept: when the socket breaks it is gone, and no timer waits for it", async () => {
  const service = newService();
  const holder = await Holder.connect(service, "back");
  await holder.break();
  expect((await statusOf(service)).agents).toEqual([]);
  // The agent's own: it cannot know that the edge does not keep the session.
  expect(vi.getTimerCount()).toBe(1);
  await holder.agent.redial();
  expect(holder.agent.resumed).toEqual([false, false]);
  expect(vi.getTimerCount()).toBe(0);
  expect(await (await send(service)).text()).toBe("back");
  holder.agent.close();
});

test("an agent of whom nothing is heard gets no new requests while another is there, and gets them when it is alone", async () => {
  const service = newService();
  const other = await Holder.connect(service, "other");
  const more = Array.from({ length: 3 }, () => send(service, "/held"));
  await statusWhen(service, () => other.held.length === 3);
  const quiet = await Holder.connect(service, "quiet");
  const answer = send(service, "/held");
  await statusWhen(service, () => quiet.held.length === 1);
  const next = async (): Promise<string> => (await send(service)).text();
  // It has less to do.
  expect(await next()).toBe("quiet");
  vi.spyOn(quiet.agent.dialer, "receive").mockImplementation(() => {});
  await pass(service, SUSPECT_AFTER_MS - 1);
  const first = send(service, "/first");
  await statusWhen(service, ({ agents }) => agents.some((row) => row["streams"] === 2));
  await pass(service, 1);
  other.held[0]?.respond({ status: 200, reason: "OK", headers: [], length: "unknown" });
  await more[0];
  for (let i = 0; i < 3; i++) expect(await next()).toBe("other");
  other.agent.close(4041);
  for (const each of more.slice(1)) expect(said(await each)).toEqual([503, "shutting-down"]);
  const alone = send(service, "/alone");
  await statusWhen(service, ({ agents }) => agents.length === 1 && agents[0]?.["streams"] === 3);
  quiet.agent.close(4041);
  for (const each of [answer, first, alone]) {
    expect(said(await each)).toEqual([503, "shutting-down"]);
  }
});

describe("an agent of whom nothing is heard for 25 seconds", () => {
  async function silent(): Promise<Busy> {
    const all = await busy();
    const deaf = vi.spyOn(all.holder.agent.dialer, "receive").mockImplementation(() => {});
    // What looks after silent agents looks every five seconds.
    for (let ms = 0; ms < DEAD_AFTER_MS; ms += 5000) await pass(all.service, 5000);
    expect((await statusOf(all.service)).agents).toMatchObject([{ connected: true }]);
    await pass(all.service, 200);
    expect(await all.holder.agent.closed).toEqual({ code: 1001, reason: "no sign of life" });
    deaf.mockRestore();
    return all;
  }

  test("loses its socket, and what is in flight goes on over the next one", async () => {
    const { holder, exchange, answer } = await silent();
    await holder.agent.redial();
    expect(holder.agent.resumed).toEqual([false, true]);
    reply(exchange, "held");
    expect(await (await answer).text()).toBe("held");
    holder.agent.close();
  });

  test("and who does not come back within the grace, has its requests fail as agent-stalled", async () => {
    const { service, answer } = await silent();
    await pass(service, GRACE_MS);
    expect(said(await answer)).toEqual([504, "agent-stalled"]);
  });
});
