/** An edge that is told to end, or to put another in its place: what becomes of what is in flight, and of who comes then. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TLSSocket } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { authority, certificate } from "../support/certificate.ts";
import { Origin, type Received } from "../support/origin.ts";
import { type Place, Visitor } from "../support/raw-http.ts";
import { Edge } from "../support/tunnel.ts";
import { BUSY_MS, poll, within } from "../support/until.ts";

const START_MS = 30_000;
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function origin(): Promise<Origin> {
  const started = await Origin.start();
  cleanups.push(() => started.stop());
  return started;
}

async function use(starting: Promise<Edge>): Promise<Edge> {
  const edge = await starting;
  cleanups.push(() => edge.stop());
  return edge;
}

/** An answer that is half out, and how the origin goes on with it. */
async function halfOut(
  place: Place,
  shop: Origin,
): Promise<{ visitor: Visitor; received: Received }> {
  shop.on("/half", ({ response }) => response.write("half"));
  const arrival = shop.next(({ target }) => target === "/half");
  const visitor = await Visitor.connect(place);
  visitor.request({ target: "/half" });
  const received = await arrival;
  await visitor.received("half".length);
  return { visitor, received };
}

/**
 * Asks, and once more when the connection has ended with nothing: workerd that is told to end closes those on which it has
 * read nothing yet. A listener with `DeferAcceptSec`, as in `deploy/systemd/`, has none of those; ours cannot be told so.
 */
async function insist<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    const nothing =
      /ended before the head of an answer|socket hang up|ECONNRESET|before secure TLS connection/;
    if (error instanceof Error && nothing.test(error.message)) return ask();
    throw error;
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

describe("an edge that is told to end", () => {
  test(
    "lets what is in flight finish, and ends then",
    async () => {
      const shop = await origin();
      const edge = await use(Edge.start(["--drain", "20s"]));
      await edge.agent({ service: "shop", port: shop.port });
      const { visitor, received } = await halfOut(edge.place("shop"), shop);
      edge.program.kill("SIGTERM");
      await edge.program.said(/draining: up to 20(?:\.0)? s/);
      received.response.end(" and half");
      const answer = await visitor.answer();
      expect([answer.ended, answer.body.toString()]).toEqual(["complete", "half and half"]);
      expect(await edge.program.exit()).toEqual({ code: 0, signal: null });
    },
    START_MS,
  );

  test(
    "cuts at both ends what has not finished in --drain",
    async () => {
      const shop = await origin();
      const edge = await use(Edge.start(["--drain", "300ms", "--grace", "0s"]));
      await edge.agent({ service: "shop", port: shop.port });
      const { visitor, received } = await halfOut(edge.place("shop"), shop);
      edge.program.kill("SIGTERM");
      expect((await visitor.answer()).ended).toBe("cut");
      visitor.leave();
      await received.gone();
      expect(await edge.program.exit()).toEqual({ code: 0, signal: null });
    },
    START_MS,
  );
});

describe("an edge on a socket that it was handed, and SIGHUP", () => {
  test(
    "what is in flight goes on, what comes is answered, and every agent moves over",
    async () => {
      const shop = await origin();
      const edge = await use(Edge.startWithSocket(["--drain", "20s"]));
      const agent = await edge.agent({ service: "shop", port: shop.port });
      const place = edge.place("shop");
      const { visitor, received } = await halfOut(place, shop);
      const [connected, told] = [agent.events.length, edge.program.events.length];

      edge.program.kill("SIGHUP");
      // One after the other, each over a connection of its own, until both ends have seen the change and some more.
      const statuses: number[] = [];
      const ask = async (): Promise<void> => {
        statuses.push((await insist(() => Visitor.ask(place, { target: "/" }))).status);
      };
      let changed = false;
      const change = Promise.all([
        edge.program.event("listening", undefined, told, START_MS),
        agent.event("connected", undefined, connected, START_MS),
      ]).then(() => (changed = true));
      while (!changed) await ask();
      await change;
      for (let more = 0; more < 20; more++) await ask();
      expect(new Set(statuses)).toEqual(new Set([200]));

      received.response.end(" and half");
      const answer = await visitor.answer();
      expect([answer.ended, answer.body.toString()]).toEqual(["complete", "half and half"]);
      expect(agent.events.some(({ event }) => event === "disconnected")).toBe(false);
    },
    2 * START_MS,
  );

  test(
    "a request whose head is complete only when its agents have gone is told to come again",
    async () => {
      const shop = await origin();
      const edge = await use(Edge.startWithSocket(["--drain", "20s"]));
      const agent = await edge.agent({ service: "shop", port: shop.port });
      const late = connect({ port: edge.port, host: "127.0.0.1" });
      late.write("GET /send/shop/ HTTP/1.1\r\nHost: 127");
      // It has been read when what came behind it is answered.
      expect((await Visitor.ask(edge.place("shop"), { target: "/" })).status).toBe(200);
      const connected = agent.events.length;
      edge.program.kill("SIGHUP");
      await agent.event("connected", undefined, connected, START_MS);
      late.write(".0.0.1\r\nConnection: close\r\n\r\n");
      // At a start it would wait for them for ten seconds.
      expect(await within(text(late), "an answer", BUSY_MS)).toMatch(
        /^HTTP\/1\.1 503 [^]*\r\nRetry-After: \d+\r\nsluice-error: draining\r\n/,
      );
    },
    2 * START_MS,
  );

  test(
    "as often as it is asked",
    async () => {
      const shop = await origin();
      const edge = await use(Edge.startWithSocket());
      await edge.agent({ service: "shop", port: shop.port });
      for (let time = 0; time < 3; time++) {
        const told = edge.program.events.length;
        edge.program.kill("SIGHUP");
        await edge.program.event("listening", undefined, told, START_MS);
        const answer = await insist(() => Visitor.ask(edge.place("shop"), { target: "/" }));
        expect(answer.status).toBe(200);
      }
    },
    2 * START_MS,
  );
});

describe("an edge on a socket that it was handed, and a restart", () => {
  test(
    "what is in flight finishes, and who comes meanwhile waits in the socket for the next edge and its agents",
    async () => {
      const shop = await origin();
      const edge = await use(Edge.startWithSocket(["--drain", "20s"], 2));
      const agent = await edge.agent({ service: "shop", port: shop.port });
      const place = edge.place("shop");
      const { visitor, received } = await halfOut(place, shop);
      const [connected, told] = [agent.events.length, edge.program.events.length];
      process.kill(parentOf(edge.workerdPid), "SIGTERM");
      await edge.program.said(/draining/);
      const waiting = Array.from({ length: 5 }, () =>
        insist(() => Visitor.ask(place, { target: "/" }, START_MS)),
      );

      received.response.end(" and half");
      const answer = await visitor.answer();
      expect([answer.ended, answer.body.toString()]).toEqual(["complete", "half and half"]);
      await edge.program.event("listening", undefined, told, START_MS);
      const statuses = (await Promise.all(waiting)).map(({ status }) => status);
      expect(statuses).toEqual([200, 200, 200, 200, 200]);
      await agent.event("connected", undefined, connected, START_MS);
    },
    2 * START_MS,
  );
});

describe("an edge with a certificate", () => {
  const issuer = authority();

  /** Its files, which may be written anew, and the flags that name them. */
  async function files() {
    const directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
    cleanups.push(() => rm(directory, { recursive: true, force: true }));
    const [cert, key, ca] = ["cert", "key", "ca"].map((name) => join(directory, `${name}.pem`)) as [
      string,
      string,
      string,
    ];
    const write = async (): Promise<void> => {
      const made = certificate({ issuer });
      await writeFile(cert, made.cert);
      await writeFile(key, made.key, { mode: 0o600 });
    };
    await write();
    await writeFile(ca, issuer.cert);
    return { cert, ca, write, flags: ["--tls-cert", cert, "--tls-key", key] };
  }

  /** What a visitor gets who believes the authority, and the certificate's serial number. */
  async function visit(url: string, path = "/") {
    const [answer] = await insist(async () => {
      const asked = get(url + path, { agent: false, ca: issuer.cert });
      return (await once(asked, "response")) as [IncomingMessage];
    });
    const { serialNumber } = (answer.socket as TLSSocket).getPeerCertificate();
    return { status: answer.statusCode, body: await text(answer), serialNumber };
  }

  test(
    "speaks https with agents and visitors",
    async () => {
      const shop = await origin();
      const { ca, flags } = await files();
      const edge = await use(Edge.start(flags));
      expect(edge.url).toMatch(/^https:/);
      await edge.agent({ service: "shop", port: shop.port, flags: ["--ca", ca] });
      shop.on("/", ({ response, fields }) =>
        response.end(fields.find(([name]) => name.toLowerCase() === "x-forwarded-proto")?.[1]),
      );
      expect(await visit(edge.url, "/send/shop/")).toMatchObject({ status: 200, body: "https" });
    },
    START_MS,
  );

  test.each(["start", "startWithSocket"] as const)(
    "reads its files again at SIGHUP, and goes on as it was when they are no good (%s)",
    async (how) => {
      const { cert, write, flags } = await files();
      const edge = await use(Edge[how](flags));
      const { serialNumber } = await visit(edge.url);
      const told = edge.program.events.length;
      await write();
      edge.program.kill("SIGHUP");
      await edge.program.event("listening", undefined, told, START_MS);
      // The one before may still take a connection that comes in this moment.
      const renewed = await poll(async () => {
        const now = await visit(edge.url);
        return now.serialNumber !== serialNumber && now;
      }, "the other certificate");

      await writeFile(cert, "nonsense");
      edge.program.kill("SIGHUP");
      const failed = await edge.program.event("error");
      expect(failed["message"]).toContain("Nothing was reloaded");
      expect((await visit(edge.url)).serialNumber).toBe(renewed.serialNumber);
    },
    START_MS,
  );
});

test(
  "a secret is changed at SIGHUP, and tokens of the one before stay good until they expire or it is taken away",
  async () => {
    const directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
    cleanups.push(() => rm(directory, { recursive: true, force: true }));
    const previous = join(directory, "previous");
    await writeFile(previous, randomBytes(32).toString("hex"));
    const edge = await use(Edge.startWithSocket(["--previous-secret-file", previous]));
    const status = async (token: string): Promise<number> => {
      const fields = [["Authorization", `Bearer ${token}`]] as const;
      const ask = () => Visitor.ask(edge.self, { target: "/status/shop", fields });
      return (await insist(ask)).status;
    };
    const reload = async (): Promise<void> => {
      const told = edge.program.events.length;
      edge.program.kill("SIGHUP");
      await edge.program.event("listening", undefined, told, START_MS);
    };
    const old = await edge.token({ service: "shop" });
    const file = join(edge.directory, "secret");

    await copyFile(file, previous);
    await writeFile(file, randomBytes(32).toString("hex"));
    await reload();
    const young = await edge.token({ service: "shop" });
    await poll(async () => (await status(young)) === 200, "the new secret");
    expect(await status(old)).toBe(200);

    await copyFile(file, previous);
    await reload();
    await poll(async () => (await status(old)) === 401, "the end of the old secret");
    expect(await status(young)).toBe(200);
  },
  2 * START_MS,
);
