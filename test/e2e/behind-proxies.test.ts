/**
 * A self-hosted edge behind the Caddyfile and the nginx configuration of `deploy/`: visitors and the agent come through the
 * proxy, over TLS, and nothing waits, is stored or hidden on the way.
 */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectHttp2, type ClientHttp2Session, constants } from "node:http2";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex, Readable, Writable } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { authority, certificate } from "../support/certificate.ts";
import { type Behind, caddy, type DebianProxy, hasProxy, nginx } from "../support/debian-proxy.ts";
import { Origin } from "../support/origin.ts";
import { Edge } from "../support/tunnel.ts";
import { poll, within } from "../support/until.ts";

const START_MS = 60_000;
const MiB = 1024 * 1024;
const issuer = authority();

type Fields = Readonly<Record<string, string>>;

/** A request under way: what is written goes up, what is read comes down. */
interface Asked {
  readonly up: Writable;
  /** The answer's status and fields, and its body; rejects when it comes to none. */
  readonly answer: Promise<{ readonly status: number; readonly down: Readable }>;
  readonly leave: () => void;
}

type Ask = (path: string, method?: string, fields?: Fields) => Asked;

/** Over a connection of its own. */
function http1(port: number): Ask {
  return (path, method = "GET", fields = {}) => {
    // Not a URL, which would be tidied up.
    const asked = request({
      host: "localhost",
      port,
      path,
      method,
      headers: fields,
      ca: issuer.cert,
      agent: new Agent(),
    });
    const answer = once(asked, "response").then(([response]) => ({
      status: response.statusCode as number,
      down: response as Readable,
    }));
    answer.catch(() => {});
    asked.on("error", () => {});
    return { up: asked, answer, leave: () => asked.destroy() };
  };
}

/** All over one connection. */
function http2(session: ClientHttp2Session): Ask {
  return (path, method = "GET", fields = {}) => {
    const stream = session.request(
      { ":path": path, ":method": method, ...fields },
      { endStream: method === "GET" },
    );
    const answer = once(stream, "response").then(([head]) => ({
      status: head[":status"] as number,
      down: stream as Readable,
    }));
    answer.catch(() => {});
    stream.on("error", () => {});
    return { up: stream, answer, leave: () => stream.close(constants.NGHTTP2_CANCEL) };
  };
}

/** Whether the caddy that is here is. */
function olderThan(version: string): boolean {
  const said = spawnSync("caddy", ["version"], { encoding: "utf8" }).stdout;
  const here = /\d+\.\d+\.\d+/.exec(said)?.[0] ?? "";
  return here.localeCompare(version, "en", { numeric: true }) < 0;
}

/** The next `bytes` of a body that may not have ended. */
async function take(down: Readable, bytes: number): Promise<string> {
  let text = "";
  const collect = (chunk: Buffer): void => void (text += chunk.toString("latin1"));
  down.on("data", collect);
  await poll(() => text.length >= bytes, `${bytes} bytes, and not just "${text}"`);
  down.off("data", collect);
  return text;
}

/** How a body ended. */
async function endOf(down: Readable): Promise<"complete" | "cut"> {
  down.resume();
  const { promise, resolve } = Promise.withResolvers<"complete" | "cut">();
  down.once("end", () => resolve("complete"));
  down.once("error", () => resolve("cut"));
  down.once("aborted", () => resolve("cut"));
  return within(promise, "the end of the answer");
}

describe.each([
  ["caddy", caddy],
  ["nginx", nginx],
] as const)("%s", (name, startProxy) => {
  const there = hasProxy(name);
  let directory = "";
  let shop: Origin;
  let edge: Edge;
  let proxy: DebianProxy;
  let session: ClientHttp2Session;
  let ca = "";

  beforeAll(async () => {
    if (!there) return;
    directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
    const made = certificate({ issuer, names: ["localhost", "shop.localhost"] });
    const behind: Behind = {
      edgePort: 0,
      cert: join(directory, "cert.pem"),
      key: join(directory, "key.pem"),
    };
    await writeFile(behind.cert, made.cert + issuer.cert);
    await writeFile(behind.key, made.key);
    ca = join(directory, "ca.pem");
    await writeFile(ca, issuer.cert);
    shop = await Origin.start();
    edge = await Edge.start();
    proxy = await startProxy({ ...behind, edgePort: edge.port });
    const url = `https://localhost:${proxy.port}`;
    await edge.agent({ service: "shop", port: shop.port, url, flags: ["--ca", ca] });
    session = connectHttp2(url, { ca: issuer.cert });
    await once(session, "connect");
  }, START_MS);

  afterAll(async () => {
    if (!there) return;
    session.destroy();
    await edge.stop();
    await proxy.stop();
    await shop.stop();
    await rm(directory, { recursive: true, force: true });
  }, START_MS);

  const leaving: (() => void)[] = [];
  afterEach(() => {
    for (const leave of leaving.splice(0)) leave();
  });

  describe.runIf(there).each([
    ["HTTP/1.1", () => http1(proxy.port)],
    ["HTTP/2", () => http2(session)],
  ] as const)("over %s", (version, asking) => {
    const ask: Ask = (path, method, fields) => {
      const asked = asking()(`/send/shop${path}`, method, fields);
      leaving.push(() => asked.leave());
      return asked;
    };

    test.each(["text/event-stream", "application/x-ndjson"])(
      "each piece of a %s is there before the next is sent",
      async (type) => {
        shop.on("/pieces", ({ response }) => {
          response.writeHead(200, { "content-type": type }).flushHeaders();
        });
        const arrival = shop.next(({ target }) => target === "/pieces");
        const { up, answer } = ask("/pieces");
        up.end();
        const { response } = await arrival;
        // nginx 1.22 holds back the head of an answer over HTTP/2 until its body begins.
        if (name === "caddy" || version === "HTTP/1.1") await answer;
        for (const piece of ["data: 1\n\n", "data: two\n\n", "data: 3\n\n"]) {
          response.write(piece);
          expect(await take((await answer).down, piece.length)).toBe(piece);
        }
        const { down } = await answer;
        response.end();
        expect(await endOf(down)).toBe("complete");
      },
    );

    test("each piece of an upload is at the origin before the next is sent", async () => {
      const arrival = shop.next(({ target }) => target === "/upload");
      shop.on("/upload", () => {});
      const { up, answer } = ask("/upload", "POST", { "content-type": "application/octet-stream" });
      up.write("one");
      const received = await arrival;
      expect((await received.bytes(3)).toString()).toBe("one");
      up.write("two");
      expect((await received.bytes(6)).toString()).toBe("onetwo");
      up.end("end");
      await received.body();
      received.response.end("got it");
      expect((await answer).status).toBe(200);
    });

    // Go's HTTP/1.1 server, before 1.21, begins no answer before it has read the whole request.
    test.skipIf(name === "caddy" && version === "HTTP/1.1")(
      "an answer comes while the request is still being sent",
      async () => {
        shop.on("/duplex", ({ request: incoming, response }) => {
          response.writeHead(200).flushHeaders();
          incoming.pipe(response);
        });
        const { up, answer } = ask("/duplex", "POST");
        up.write("ping");
        const { down } = await answer;
        expect(await take(down, 4)).toBe("ping");
        up.write("pong");
        expect(await take(down, 4)).toBe("pong");
        up.end();
        expect(await endOf(down)).toBe("complete");
      },
    );

    test.each([
      ["with a length", { "content-length": "1000" }],
      ["without a length", {}],
    ])("an answer %s that the origin breaks off", async (length, fields) => {
      shop.on("/cut", ({ response }) => {
        response.writeHead(200, fields);
        response.write("half");
      });
      const arrival = shop.next(({ target }) => target === "/cut");
      const { up, answer } = ask("/cut");
      up.end();
      const { down } = await answer;
      expect(await take(down, 4)).toBe("half");
      (await arrival).response.destroy();
      // Caddy before 2.7.6 ends what it cannot finish as if it were whole (caddyserver/caddy#5952).
      const old = name === "caddy" && length === "without a length" && olderThan("2.7.6");
      expect(await endOf(down)).toBe(old ? "complete" : "cut");
    });

    test("a visitor who leaves ends the request at the origin", async () => {
      shop.on("/endless", ({ response }) => {
        const timer = setInterval(() => response.write("tick"), 20);
        response.on("close", () => clearInterval(timer));
      });
      const arrival = shop.next(({ target }) => target === "/endless");
      const { up, answer, leave } = ask("/endless");
      up.end();
      const received = await arrival;
      await take((await answer).down, 4);
      leave();
      await received.gone();
    });

    test(
      "32 MiB go up and come down whole",
      async () => {
        const body = randomBytes(32 * MiB);
        shop.on("/mirror", async (received) => {
          received.response.end(await received.body(START_MS));
        });
        const { up, answer } = ask("/mirror", "PUT");
        up.end(body);
        const { down } = await answer;
        const hash = createHash("sha256");
        for await (const chunk of down) hash.update(chunk as Buffer);
        expect(hash.digest("hex")).toBe(createHash("sha256").update(body).digest("hex"));
      },
      START_MS,
    );

    test("the origin learns who asks from the proxy, and not from the visitor", async () => {
      shop.on("/who", ({ fields, response }) => response.end(JSON.stringify(fields)));
      const { up, answer } = ask("/who", "GET", {
        "x-forwarded-for": "6.6.6.6",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "evil.test",
        "cf-connecting-ip": "6.6.6.6",
        "cf-ray": "6.6.6.6",
        "true-client-ip": "6.6.6.6",
        "x-real-ip": "6.6.6.6",
        forwarded: "for=6.6.6.6",
        under_score: "kept",
        "x-long": "y".repeat(32 * 1024),
      });
      up.end();
      const chunks: Buffer[] = [];
      for await (const chunk of (await answer).down) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      expect(text).not.toContain("6.6.6.6");
      expect(text).not.toContain("evil");
      const seen = new Map(
        (JSON.parse(text) as [string, string][]).map(([field, value]) => [
          field.toLowerCase(),
          value,
        ]),
      );
      // The visitor's address by the proxy, then the proxy's by the edge.
      expect(seen.get("x-forwarded-for")).toBe("127.0.0.1, 127.0.0.1");
      expect(seen.get("x-forwarded-proto")).toBe("https");
      expect(seen.get("x-forwarded-host")).toBe(`localhost:${proxy.port}`);
      expect(seen.get("under_score")).toBe("kept");
      expect(seen.get("x-long")).toHaveLength(32 * 1024);
    });

    test("targets go on byte for byte", async () => {
      const target = "/a%2Fb//c/%2e%2e/d?x=%41&y=a+b";
      shop.otherwise(({ target: seen, response }) => response.end(seen));
      const { up, answer } = ask(target);
      up.end();
      expect(await take((await answer).down, target.length)).toBe(target);
    });
  });

  test.runIf(there)("a visitor's WebSocket reaches the origin", async () => {
    const sockets = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(sockets, "listening");
    sockets.on("connection", (ws) => ws.on("message", (data, binary) => ws.send(data, { binary })));
    const { port } = sockets.address() as { port: number };
    const url = `https://localhost:${proxy.port}`;
    const agent = await edge.agent({ service: "chat", port, url, flags: ["--ca", ca] });
    const visitor = new WebSocket(`wss://localhost:${proxy.port}/send/chat/`, { ca: issuer.cert });
    await once(visitor, "open");
    const message = randomBytes(MiB);
    visitor.send(message);
    const [echo] = (await once(visitor, "message")) as [Buffer];
    expect(echo.equals(message)).toBe(true);
    visitor.close(4000, "enough");
    expect((await once(visitor, "close"))[0]).toBe(4000);
    await agent.stop();
    sockets.close();
  });

  test.runIf(there)("a host name is a service", async () => {
    shop.on("/hosted", ({ response }) => response.end("by name"));
    const asked = request({
      host: "127.0.0.1",
      port: proxy.port,
      path: "/hosted",
      servername: "shop.localhost",
      headers: { host: `shop.localhost:${proxy.port}` },
      ca: issuer.cert,
      agent: new Agent(),
    }).end();
    const [response] = (await once(asked, "response")) as [Duplex];
    expect(await take(response, 7)).toBe("by name");
  });
});
