/** A service over several objects, with real processes: who gets what, and what happens while their number changes. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { startWorkerd, type Workerd } from "../../bench/workerd.ts";
import { Origin } from "../support/origin.ts";
import { Program } from "../support/program.ts";
import { type Place, Visitor } from "../support/raw-http.ts";
import { poll, within } from "../support/until.ts";

const SERVICE = "shop";
const START_MS = 30_000;

interface Status {
  readonly shards: number;
  readonly agents: readonly {
    readonly shard: number;
    readonly streams: number;
    readonly ready: boolean;
  }[];
  readonly totals: { readonly requests: number };
}

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
}, 60_000);

/** An edge whose SHARDS can be changed while its objects live on, an agent, an origin. */
class Rig {
  readonly origin: Origin;
  readonly agent: Program;
  readonly place: Place;
  readonly #edge: Workerd;
  readonly #token: string;

  private constructor(origin: Origin, agent: Program, edge: Workerd, token: string) {
    this.origin = origin;
    this.agent = agent;
    this.#edge = edge;
    this.#token = token;
    this.place = { ...this.#self, prefix: `/send/${SERVICE}` };
  }

  /** `port`: that of another origin. */
  static async start(shards: number, port?: number): Promise<Rig> {
    const directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
    undo.push(() => rm(directory, { recursive: true, force: true }));
    const secret = randomBytes(32).toString("hex");
    const [secretFile, tokenFile] = [join(directory, "secret"), join(directory, "token")];
    await writeFile(secretFile, secret, { mode: 0o600 });
    const made = Program.agent(["token", "--service", SERVICE, "--secret-file", secretFile]);
    const [token] = await made.line(/^\S+$/, START_MS);
    await writeFile(tokenFile, token, { mode: 0o600 });
    const edge = await startWorkerd({
      entry: new URL("../edge/support/changing-worker.ts", import.meta.url).pathname,
      className: "Correlator",
      binding: "CORRELATOR",
    });
    undo.push(() => edge.stop());
    await setVariables(edge, { TUNNEL_SECRET: secret, SHARDS: String(shards) });
    const origin = await Origin.start();
    undo.push(() => origin.stop());
    const agent = Program.agent([
      "connect",
      "--port",
      String(port ?? origin.port),
      "--edge",
      `http://127.0.0.1:${edge.port}`,
      "--service",
      SERVICE,
      "--token-file",
      tokenFile,
      "--json",
    ]);
    undo.push(() => agent.stop());
    await agent.event("connected", undefined, 0, START_MS);
    return new Rig(origin, agent, edge, token);
  }

  get #self(): Place {
    const { port } = this.#edge;
    return { port, host: `127.0.0.1:${port}`, prefix: "" };
  }

  /** The edge counts so many from now on; the agent does not know yet. */
  async change(shards: number): Promise<void> {
    await setVariables(this.#edge, { SHARDS: String(shards) });
  }

  async status(): Promise<Status> {
    const fields = [["Authorization", `Bearer ${this.#token}`]] as const;
    const answer = await Visitor.ask(this.#self, { target: `/status/${SERVICE}`, fields });
    expect(answer.status).toBe(200);
    return JSON.parse(answer.body.toString()) as Status;
  }

  /** The status page, once the agent takes requests from so many shards. */
  async agentAt(shards: number): Promise<Status> {
    return poll(async () => {
      const page = await this.status();
      return page.agents.filter(({ ready }) => ready).length === shards && page;
    }, `an agent at ${shards} shards`);
  }

  /** How many of `count` requests, with and without bodies, were answered well. */
  async answered(count: number): Promise<number> {
    const answers = await Promise.all(
      Array.from({ length: count }, (_, nth) => {
        const target = `/${nth}`;
        const request = nth % 2 === 0 ? { target } : { method: "POST", target, body: "a body" };
        return Visitor.ask(this.place, request);
      }),
    );
    return answers.filter(({ status, ended }) => status === 200 && ended === "complete").length;
  }
}

async function setVariables(edge: Workerd, variables: Record<string, string>): Promise<void> {
  const url = `http://127.0.0.1:${edge.port}/variables`;
  const answer = await fetch(url, { method: "PUT", body: JSON.stringify(variables) });
  expect(answer.status).toBe(200);
}

/** Downloads that go on until they are told to end, and what they have to be. */
class Downloads {
  readonly #visitors: Visitor[] = [];
  readonly #rig: Rig;
  readonly #body = randomBytes(4_000_000);
  readonly #end = Promise.withResolvers<void>();

  constructor(rig: Rig) {
    this.#rig = rig;
    rig.origin.on("/download", async ({ response }) => {
      const half = this.#body.length / 2;
      response.write(this.#body.subarray(0, half));
      await this.#end.promise;
      response.end(this.#body.subarray(half));
    });
  }

  async begin(): Promise<void> {
    const visitor = await Visitor.connect(this.#rig.place);
    this.#visitors.push(visitor);
    visitor.request({ target: "/download" });
    await visitor.received(1);
  }

  /** Lets them end. True for each that is complete and byte-exact. */
  async end(): Promise<boolean[]> {
    this.#end.resolve();
    return Promise.all(
      this.#visitors.map(async (visitor) => {
        const { ended, body } = await visitor.answer();
        visitor.leave();
        return ended === "complete" && body.equals(this.#body);
      }),
    );
  }
}

test("requests are spread over all shards, every one is answered, and the status page adds them up", async () => {
  const rig = await Rig.start(3);
  await rig.agentAt(3);
  const downloads = new Downloads(rig);
  // That one of three shards gets none of thirty happens once in 60,000 runs.
  await Promise.all(Array.from({ length: 30 }, () => downloads.begin()));
  const { shards, agents } = await rig.status();
  expect(shards).toBe(3);
  expect(agents.map(({ shard }) => shard)).toEqual([0, 1, 2]);
  expect(agents.map(({ streams }) => streams > 0)).toEqual([true, true, true]);
  expect(agents.reduce((sum, { streams }) => sum + streams, 0)).toBe(30);
  expect(await downloads.end()).toEqual(Array.from({ length: 30 }, () => true));
  expect(await rig.answered(60)).toBe(60);
  expect((await rig.status()).totals.requests).toBe(90);
});

test("from one shard to three and to two while downloads run: none is dropped, and every request is answered", async () => {
  const rig = await Rig.start(1);
  await rig.agentAt(1);
  const downloads = new Downloads(rig);
  await downloads.begin();

  await rig.change(3);
  // The agent has not heard of it, and its shards hand over what they get.
  expect(await rig.answered(30)).toBe(30);
  expect((await rig.status()).agents).toHaveLength(1);
  rig.agent.kill("SIGHUP");
  await rig.agentAt(3);
  expect(await rig.answered(30)).toBe(30);

  await poll(async () => {
    await downloads.begin();
    return (await rig.status()).agents.some(({ shard, streams }) => shard === 2 && streams > 0);
  }, "a download over the last shard");
  await rig.change(2);
  expect(await rig.answered(30)).toBe(30);
  rig.agent.kill("SIGHUP");
  await rig.agent.said(/spread over 2 objects/);
  await rig.change(3);
  // Seen from outside, as by an isolate that is late: the last shard is there and takes nothing new.
  await poll(
    async () => (await rig.status()).agents.some(({ shard, ready }) => shard === 2 && !ready),
    "the last shard to drain",
  );
  expect(await rig.answered(30)).toBe(30);

  expect(new Set(await downloads.end())).toEqual(new Set([true]));
  await poll(async () => (await rig.status()).agents.length === 2, "the last shard's end");
  expect(await rig.answered(30)).toBe(30);
  rig.agent.kill("SIGTERM");
  expect(await rig.agent.exit()).toEqual({ code: 0, signal: null });
});

test("a visitor's WebSocket is handed over too, and closed as the visitor closes it", async () => {
  const sockets = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  undo.push(() => new Promise((resolve) => sockets.close(resolve)));
  await once(sockets, "listening");
  const closed = Promise.withResolvers<[code: number, reason: string]>();
  sockets.on("connection", (ws) => {
    ws.on("message", (data, binary) => ws.send(data, { binary }));
    ws.on("close", (code, reason) => closed.resolve([code, reason.toString()]));
  });
  const rig = await Rig.start(1, (sockets.address() as AddressInfo).port);
  // All but one of them have no agent.
  await rig.change(1000);
  const { host, prefix } = rig.place;
  const visitor = new WebSocket(`ws://${host}${prefix}/`);
  undo.push(async () => visitor.terminate());
  await within(once(visitor, "open"), "the visitor's socket");
  visitor.send("hello");
  const [echo] = (await within(once(visitor, "message"), "the echo")) as [Buffer];
  expect(echo.toString()).toBe("hello");
  visitor.close(4321, "enough");
  expect(await within(closed.promise, "the close at the origin")).toEqual([4321, "enough"]);
});
