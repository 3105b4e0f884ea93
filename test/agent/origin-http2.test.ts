/** Origins that speak HTTP/2 and nothing else, in clear and over TLS. */
import {
  constants,
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type IncomingHttpHeaders,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { certificate } from "../support/certificate.ts";
import { SOON_MS, Watch } from "../support/until.ts";
import { readAll } from "./pair.ts";
import { TunnelEnd } from "./tunnel-end.ts";

let server: Http2Server | undefined;
let end: TunnelEnd | undefined;
const sessions = new Set<ServerHttp2Session>();

afterEach(async () => {
  await end?.stop();
  for (const session of sessions) session.destroy();
  sessions.clear();
  server?.close();
});

type Answer = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: string[]) => void;

const echo: Answer = (stream) => {
  stream.respond({ ":status": 200 });
  stream.pipe(stream);
};

async function serve(kind: "h2c" | "https", answer: Answer = echo): Promise<TunnelEnd> {
  server = kind === "h2c" ? createServer() : createSecureServer(certificate());
  server.on("session", (session: ServerHttp2Session) => sessions.add(session));
  server.on("stream", (stream: ServerHttp2Stream, headers, _flags, raw: string[]) => {
    stream.on("error", () => {});
    answer(stream, headers, raw);
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const scheme = kind === "h2c" ? "http" : "https";
  const url = new URL(`${scheme}://localhost:${(server.address() as AddressInfo).port}`);
  const address = { url, socketPath: undefined, http2: kind === "h2c", label: url.origin };
  end = await TunnelEnd.to(0, { address, tls: { rejectUnauthorized: false }, concurrency: 64 });
  return end;
}

describe.each(["h2c", "https"] as const)("over %s", (kind) => {
  test("bodies of known and unknown length cross, many at once on one connection", async () => {
    const tunnel = await serve(kind);
    const exchanges = Array.from({ length: 40 }, (_, i) => {
      const body = `${i}`.repeat(1000 * i);
      if (i % 2 === 0) return { body, exchange: tunnel.ask({ method: "POST", body }) };
      const exchange = tunnel.ask({ method: "POST", length: "unknown" });
      if (body !== "") exchange.outgoing.write(Buffer.from(body));
      exchange.outgoing.end();
      return { body, exchange };
    });
    for (const { body, exchange } of exchanges) {
      expect(await exchange.answer()).toMatchObject({ status: 200 });
      expect(await readAll(exchange)).toBe(body);
    }
    // Until the first answer over TLS says so, nobody knows that the origin speaks HTTP/2.
    expect(sessions.size).toBe(1);
  });

  test("heads cross: target, authority, repeated fields, status, trailers", async () => {
    let seen: string[] = [];
    const tunnel = await serve(kind, (stream, _headers, raw) => {
      seen = raw;
      stream.respond({ ":status": 203, "set-cookie": ["a=1", "b=2"] }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "42" }));
      stream.end("ok");
    });
    const headers = ["X-A", "1", "x-a", "2", "Cookie", "c=d", "X-U", "grün"];
    const exchange = tunnel.ask({ path: "/a/%2e%2e?q=1", headers });
    const answer = await exchange.answer();
    expect(answer).toMatchObject({ status: 203, length: "unknown" });
    expect(answer.headers).toEqual(expect.arrayContaining(["set-cookie", "a=1", "b=2"]));
    expect(await readAll(exchange)).toBe("ok");
    expect(exchange.incoming.trailers).toEqual(["x-sum", "42"]);
    const text = seen.join("\n");
    expect(text).toContain(":path\n/a/%2e%2e?q=1");
    expect(text).toMatch(/:authority\nlocalhost:\d+/);
    expect(text).toContain("x-a\n1\nx-a\n2");
    expect(text).toContain(`x-u\n${Buffer.from("grün").toString("latin1")}`);
  });

  test("an answer begins before the request's body has ended", async () => {
    const tunnel = await serve(kind);
    const exchange = tunnel.ask({ method: "POST", length: "unknown" });
    expect(await exchange.answer()).toMatchObject({ status: 200 });
    exchange.outgoing.write(Buffer.from("late"));
    exchange.outgoing.end();
    expect(await readAll(exchange)).toBe("late");
  });

  test("an answer that the origin resets is cut, never ended as if it were whole", async () => {
    const tunnel = await serve(kind, (stream) => {
      stream.respond({ ":status": 200 });
      stream.write("part", () => stream.destroy(new Error("broken")));
    });
    const exchange = tunnel.ask();
    await exchange.answer();
    await expect(readAll(exchange)).rejects.toMatchObject({ code: "origin-reset" });
  });

  test("an answer whose connection the origin drops is cut too", async () => {
    const tunnel = await serve(kind, (stream) => {
      stream.respond({ ":status": 200 });
      stream.write("part", () => stream.session?.destroy());
    });
    const exchange = tunnel.ask();
    await exchange.answer();
    await expect(readAll(exchange)).rejects.toMatchObject({ code: "origin-reset" });
  });

  test("a visitor who leaves resets the stream at the origin and no other", async () => {
    const watch = new Watch();
    let resets = 0;
    const tunnel = await serve(kind, (stream) => {
      stream.respond({ ":status": 200 });
      stream.write("begun");
      stream.on("close", () => {
        if (stream.rstCode === constants.NGHTTP2_CANCEL) resets++;
        watch.changed();
      });
      stream.on("end", () => stream.end()).resume();
    });
    const leaving = tunnel.ask({ method: "POST", length: "unknown" });
    const staying = tunnel.ask({ method: "POST", length: "unknown" });
    await Promise.all([leaving.answer(), staying.answer()]);
    leaving.cancel("cancelled");
    await watch.until(() => resets === 1, "the reset of the stream");
    staying.outgoing.end();
    expect(await readAll(staying)).toBe("begun");
  });

  test("a connection that the origin has ended is opened anew", async () => {
    const tunnel = await serve(kind);
    await readAll(await answered(tunnel));
    const [session] = sessions;
    const gone = new Promise((resolve) => session?.once("close", resolve));
    session?.close();
    await gone;
    expect(await readAll(await answered(tunnel))).toBe("hello");
    expect(sessions.size).toBe(2);
  });

  test("fields that HTTP/2 does not allow are the visitor's fault, and end one request", async () => {
    const tunnel = await serve(kind);
    const headers = ["content-type", "text/plain", "content-type", "text/html"];
    await expect(tunnel.ask({ headers }).answer()).rejects.toMatchObject({ code: "bad-request" });
    expect(await readAll(await answered(tunnel))).toBe("hello");
  });

  test("WebSockets are refused in words", async () => {
    const tunnel = await serve(kind);
    await expect(tunnel.ask({ length: "socket" }).answer()).rejects.toBeDefined();
    const { outcome, reason } = await tunnel.report();
    expect([outcome, reason]).toEqual([
      expect.stringMatching(/^origin-(?:invalid|refused)$/),
      expect.stringContaining("HTTP/1.1"),
    ]);
  });
});

async function answered(tunnel: TunnelEnd): Promise<ReturnType<TunnelEnd["ask"]>> {
  const exchange = tunnel.ask({ method: "POST", body: "hello" });
  await exchange.answer();
  return exchange;
}

test("a visitor that does not read holds up its own stream and no other", async () => {
  const chunk = Buffer.alloc(64 * 1024);
  const tunnel = await serve("h2c", (stream, { ":path": path }) => {
    stream.respond({ ":status": 200 });
    if (path === "/small") stream.end("ok");
    else {
      const more = (): void => {
        while (!stream.destroyed && stream.write(chunk));
      };
      stream.on("drain", more);
      more();
    }
  });
  const stalled = Array.from({ length: 8 }, () => tunnel.ask({ path: "/endless" }));
  await Promise.all(stalled.map((exchange) => exchange.answer()));
  const begun = performance.now();
  for (let i = 0; i < 20; i++) {
    const exchange = tunnel.ask({ path: "/small" });
    await exchange.answer();
    expect(await readAll(exchange)).toBe("ok");
  }
  expect(performance.now() - begun).toBeLessThan(SOON_MS);
  for (const exchange of stalled) exchange.cancel("cancelled");
});

test("nobody there is origin-refused, and an origin that comes back is waited for", async () => {
  const tunnel = await serve("h2c");
  if (server === undefined) throw new Error("nobody serves");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server?.close(resolve));
  const exchange = tunnel.ask({ method: "POST", body: "hello" });
  server = createServer();
  server.on("session", (session: ServerHttp2Session) => sessions.add(session));
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise<void>((resolve) => server?.listen(port, "127.0.0.1", resolve));
  expect(await exchange.answer()).toMatchObject({ status: 200 });
  expect(await readAll(exchange)).toBe("hello");
});
