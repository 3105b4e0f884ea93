/** A function as the origin: what it sees of a request, and what becomes of its answer. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, expect, test } from "vitest";
import type { RequestEvent } from "../../agent/events.ts";
import { type Handler, HandlerOrigin } from "../../agent/origin/handler.ts";
import { Serve } from "../../agent/serve.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { RequestHead } from "../../codec/frame.ts";
import { poll, within } from "../support/until.ts";
import { Pair, readAll } from "./pair.ts";

let pair: Pair;
let serve: Serve;
const finished: RequestEvent[] = [];

async function open(handler: Handler, options: { concurrency?: number; timeoutMs?: number } = {}) {
  const { concurrency = 8, timeoutMs = 10_000 } = options;
  const origin = new HandlerOrigin({ handler, rewriteLocation: true, timeoutMs });
  finished.length = 0;
  serve = new Serve({ origin, concurrency, finished: (event) => finished.push(event) });
  pair = await Pair.join((exchange) => serve.accept(exchange));
}

afterEach(async () => {
  // Whatever happened: nothing is left on either end.
  await poll(() => pair.edge.streams + pair.agent.streams === 0, "no stream is left");
  await poll(() => serve.inFlight === 0, "nothing is in flight");
  expect(pair.agent.promisedBytes).toBe(0);
});

/** An answer as the edge gets it. */
async function ask(head: Partial<RequestHead> & { readonly body?: string } = {}) {
  const exchange = pair.ask(head);
  const { status, headers, length } = await within(exchange.answer(), "an answer");
  return { status, headers, length, body: await readAll(exchange) };
}

/** How the exchange failed. */
async function failure(exchange: Exchange): Promise<string> {
  return within(
    exchange.answer().then(
      ({ status }) => `answered ${status}`,
      (error: { readonly code: string; readonly note: string }) => `${error.code}: ${error.note}`,
    ),
    "a failure",
  );
}

const visited = [
  "X-Forwarded-Host",
  "edge.example",
  "X-Forwarded-Proto",
  "https",
  "X-Forwarded-Prefix",
  "/send/shop",
];

test("a request arrives with its method, target, fields and body", async () => {
  await open(async (request) => {
    const body = await request.text();
    return Response.json({
      method: request.method,
      url: request.url,
      cookie: request.headers.get("cookie"),
      twice: request.headers.get("twice"),
      host: request.headers.get("host"),
      length: request.headers.get("content-length"),
      id: request.headers.get("sluice-request-id"),
      body,
    });
  });
  const headers = [...visited, "Cookie", "a=1", "Cookie", "b=2", "Twice", "x", "Twice", "y"];
  const { status, body } = await ask({ method: "PUT", path: "/a?b=%20c", headers, body: "hello" });
  expect(status).toBe(200);
  expect(JSON.parse(body)).toEqual({
    method: "PUT",
    url: "https://edge.example/a?b=%20c",
    cookie: "a=1; b=2",
    twice: "x, y",
    host: "edge.example",
    length: "5",
    id: expect.any(String),
    body: "hello",
  });
  expect(finished).toMatchObject([{ method: "PUT", status: 200, bytesIn: 5, outcome: "ok" }]);
});

test.each([
  [[], "http://localhost/"],
  [["x-forwarded-host", "a.example:8443", "x-forwarded-proto", "http"], "http://a.example:8443/"],
  [["x-forwarded-host", "no host/at all"], "http://localhost/"],
  [["x-forwarded-host", "user@elsewhere"], "http://localhost/"],
])("what the edge says of the visitor's way (%j) makes the URL %s", async (headers, url) => {
  await open((request) => new Response(request.url));
  expect((await ask({ headers })).body).toBe(url);
});

test.each([
  ["//elsewhere/x", "http://localhost//elsewhere/x"],
  ["/http://elsewhere/", "http://localhost/http://elsewhere/"],
  ["/@elsewhere", "http://localhost/@elsewhere"],
])("a target like %s stays a path", async (path, url) => {
  await open((request) => new Response(request.url));
  expect((await ask({ path })).body).toBe(url);
});

test("fields beyond ASCII cross as the bytes of their UTF-8, both ways", async () => {
  await open((request) => {
    const bytes = Buffer.from(request.headers.get("x-name") ?? "", "latin1");
    return new Response(bytes, {
      headers: { "x-name": Buffer.from("süß", "utf8").toString("latin1") },
    });
  });
  const { headers, body } = await ask({ headers: ["x-name", "größe 水"] });
  expect(body).toBe("größe 水");
  expect(headers).toContain("süß");
});

test("each Set-Cookie crosses by itself, and redirects stay in the tunnel", async () => {
  await open((request) => {
    const headers = new Headers({ location: new URL("/login", request.url).href });
    headers.append("set-cookie", "a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT");
    headers.append("set-cookie", "b=2");
    return new Response(null, { status: 302, headers });
  });
  const { status, headers, length } = await ask({ headers: visited });
  expect([status, length]).toEqual([302, "unknown"]);
  expect(headers).toEqual([
    "location",
    "/send/shop/login",
    "set-cookie",
    "a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
    "set-cookie",
    "b=2",
  ]);
});

test("an answer to HEAD keeps its Content-Length and loses its body, whose source is told", async () => {
  let told = false;
  await open(() => {
    const body = new ReadableStream({ cancel: () => void (told = true) });
    return new Response(body, { headers: { "content-length": "1234" } });
  });
  const { headers, length, body } = await ask({ method: "HEAD" });
  expect([headers, length, body]).toEqual([["content-length", "1234"], "none", ""]);
  await poll(() => told, "the end of the body's source");
});

test.each([204, 205, 304])("an answer of status %s has no body", async (status) => {
  await open(() => new Response(null, { status, headers: { etag: '"1"' } }));
  const answer = await ask();
  expect(answer).toEqual({ status, headers: ["etag", '"1"'], length: "none", body: "" });
});

test("a length that the function states is exact, and one that is wrong cuts the answer", async () => {
  const answer = (length: string) =>
    new Response("four", { headers: { "content-length": length } });
  await open((request) => answer(request.url.endsWith("/right") ? "4" : "5"));
  expect(await ask({ path: "/right" })).toMatchObject({ length: 4, body: "four" });
  await expect(ask({ path: "/wrong" })).rejects.toThrow("body-mismatch");
  expect(finished.map(({ outcome }) => outcome)).toEqual(["ok", "body-mismatch"]);
});

test("a body that is longer than was stated is cut, and its source ends", async () => {
  let reason: unknown;
  await open(() => {
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(100)),
      cancel: (why) => void (reason = why),
    });
    return new Response(body, { headers: { "content-length": "150" } });
  });
  await expect(ask()).rejects.toThrow("body-mismatch");
  await poll(() => reason, "the end of the source");
  expect(reason).toMatchObject({ code: "body-mismatch" });
});

test("what the function throws becomes a 502 with a code, before the head and as a cut answer behind it", async () => {
  const ways: Record<string, Handler> = {
    "/throws": () => {
      throw new Error("no database\nat all");
    },
    "/rejects": () => Promise.reject(new Error("no database")),
    "/text": () => Promise.reject("just text"),
    "/nothing": () => undefined as unknown as Response,
    "/error": () => Response.error(),
    "/body": () => {
      const body = new ReadableStream({
        pull(controller) {
          controller.error(new Error("the source broke"));
        },
      });
      return new Response(body);
    },
    "/used": () => {
      const response = new Response("x");
      void response.text();
      return response;
    },
  };
  await open((request) => (ways[new URL(request.url).pathname] as Handler)(request));
  const failed = async (path: string) => failure(pair.ask({ path }));
  expect(await failed("/throws")).toBe("origin-reset: the function threw no database at all");
  expect(await failed("/rejects")).toBe("origin-reset: the function threw no database");
  expect(await failed("/text")).toBe('origin-reset: the function threw "just text"');
  expect(await failed("/nothing")).toBe("origin-invalid: the function returned no Response");
  expect(await failed("/error")).toMatch(/^origin-invalid: the status/);
  await expect(ask({ path: "/body" })).rejects.toThrow(
    "origin-reset: the body of the Response failed: the source broke",
  );
  expect(await failed("/used")).toBe(
    "origin-invalid: the function returned a Response whose body was read already",
  );
  expect(finished.map(({ outcome }) => outcome)).toEqual([
    "origin-reset",
    "origin-reset",
    "origin-reset",
    "origin-invalid",
    "origin-invalid",
    "origin-reset",
    "origin-invalid",
  ]);
  expect(finished[0]?.reason).toBe("the function threw no database at all");
});

test("WebSockets and TRACE are refused with a reason, and the function never hears of them", async () => {
  let calls = 0;
  await open(() => {
    calls++;
    return new Response();
  });
  expect(await failure(pair.ask({ length: "socket" }))).toBe(
    "origin-invalid: a function cannot answer a WebSocket; an http.Server can",
  );
  expect(await failure(pair.ask({ method: "TRACE" }))).toMatch(/^bad-request/);
  expect(calls).toBe(0);
});

test("the body of a GET, which a Request cannot have, is let go of", async () => {
  await open((request) => new Response(request.body === null ? "none" : "some"));
  for (const method of ["GET", "get"]) {
    expect(await ask({ method, body: "x".repeat(10_000) })).toMatchObject({ body: "none" });
  }
});

test("the body of a request is taken only as fast as the function reads it", async () => {
  const steps: (() => void)[] = [];
  await open(async (request) => {
    let bytes = 0;
    for await (const chunk of request.body ?? []) {
      bytes += chunk.length;
      await new Promise<void>((resolve) => steps.push(resolve));
    }
    return new Response(String(bytes));
  });
  const exchange = pair.ask({ method: "POST", length: "unknown" });
  const chunk = new Uint8Array(64 * 1024);
  let written = 0;
  while (exchange.outgoing.write(Uint8Array.from(chunk))) written++;
  await poll(() => steps.length === 1, "the first chunk at the function");
  const before = exchange.outgoing.queuedBytes;
  expect(before).toBeGreaterThan(0);
  // As long as the function keeps its chunk, no credit comes back, whatever else happens.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(steps.length).toBe(1);
  expect(exchange.outgoing.queuedBytes).toBe(before);
  exchange.outgoing.end();
  const reading = setInterval(() => steps.shift()?.(), 1);
  await exchange.answer();
  clearInterval(reading);
  expect(await readAll(exchange)).toBe(String((written + 1) * chunk.length));
});

test("what the function does to a chunk harms nothing that came in the same message", async () => {
  await open(async (request) => {
    const texts: string[] = [];
    for await (const chunk of request.body ?? []) {
      texts.push(Buffer.from(chunk).toString());
      // As a byte stream does with what is put into it.
      structuredClone(chunk, { transfer: [chunk.buffer] });
    }
    return new Response(texts.join(""));
  });
  const exchange = pair.ask({ method: "POST", length: "unknown" });
  const parts = Array.from({ length: 20 }, (_, i) => `part ${i} `);
  for (const part of parts) exchange.outgoing.write(Buffer.from(part));
  exchange.outgoing.end();
  await exchange.answer();
  expect(await readAll(exchange)).toBe(parts.join(""));
});

test("the body of the answer is pulled only as fast as the tunnel takes it", async () => {
  let pulls = 0;
  const chunk = 64 * 1024;
  await open(() => {
    const body = new ReadableStream(
      {
        pull(controller) {
          if (++pulls > 400) controller.close();
          else controller.enqueue(new Uint8Array(chunk));
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(body);
  });
  const exchange = pair.ask();
  await exchange.answer();
  await poll(async () => {
    const before = pulls;
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    return pulls > 0 && pulls === before;
  }, "the function waits");
  expect(pulls * chunk).toBeLessThan(4 * 1024 * 1024);
  expect((await readAll(exchange)).length).toBe(400 * chunk);
  expect(finished).toMatchObject([{ bytesOut: 400 * chunk, outcome: "ok" }]);
});

test("both bodies stream at once: an echo answers while it is asked", async () => {
  await open((request) => new Response(request.body));
  const exchange = pair.ask({ method: "POST", length: "unknown" });
  exchange.outgoing.write(Buffer.from("one"));
  await exchange.answer();
  const echo = exchange.incoming[Symbol.asyncIterator]();
  expect(Buffer.from((await echo.next()).value ?? []).toString()).toBe("one");
  exchange.outgoing.write(Buffer.from("two"));
  expect(Buffer.from((await echo.next()).value ?? []).toString()).toBe("two");
  exchange.outgoing.end();
  expect((await echo.next()).done).toBe(true);
});

test("a visitor who leaves aborts the request's signal, ends both bodies, and frees the slot only when the function has returned", async () => {
  const seen: string[] = [];
  const held = Promise.withResolvers<Response>();
  await open(
    (request) => {
      request.signal.addEventListener("abort", () => seen.push("aborted"));
      request.text().catch((error: Error) => seen.push(error.message));
      return held.promise;
    },
    { concurrency: 1 },
  );
  const exchange = pair.ask({ method: "POST", length: 10 });
  await poll(() => serve.inFlight === 1, "the request at the function");
  exchange.outgoing.write(Buffer.from("abc"));
  exchange.cancel("cancelled");
  await poll(() => seen.length === 2, "what the function is told");
  expect(seen).toContain("aborted");
  expect(serve.inFlight).toBe(1);
  let cancelled = false;
  held.resolve(new Response(new ReadableStream({ cancel: () => void (cancelled = true) })));
  await poll(() => cancelled, "the end of the answer's body");
  await poll(() => finished.length === 1, "the report");
  expect(finished).toMatchObject([{ outcome: "cancelled" }]);
});

test("a visitor who leaves in the middle of an answer that waits ends its source", async () => {
  let reason: unknown;
  let signal: AbortSignal | undefined;
  const ended = Promise.withResolvers<void>();
  await open((request) => {
    signal = request.signal;
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
      cancel: (why) => {
        reason = why;
        return ended.promise;
      },
    });
    return new Response(body);
  });
  const exchange = pair.ask();
  await exchange.answer();
  exchange.cancel("cancelled");
  await poll(() => reason, "the end of the source");
  expect(reason).toMatchObject({ code: "cancelled" });
  expect(signal?.aborted).toBe(true);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(serve.inFlight, "the slot is taken until the source has ended").toBe(1);
  ended.resolve();
});

test("a function that keeps nothing of its request but the signal is told by it, whatever was collected meanwhile", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const told = Promise.withResolvers<void>();
  const body = (): ReadableStream =>
    new ReadableStream({ start: (to) => to.enqueue(Buffer.from("x")) });
  await open(({ signal }) => {
    signal.addEventListener("abort", () => told.resolve());
    return new Response(body());
  });
  const exchange = pair.ask();
  await exchange.answer();
  for (let turn = 0; turn < 5; turn++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  exchange.cancel("cancelled");
  await within(told.promise, "the abort");
});

test("an answer without all of the request is complete, and the signal stays silent", async () => {
  let signal: AbortSignal | undefined;
  await open((request) => {
    signal = request.signal;
    return new Response("enough");
  });
  const exchange = pair.ask({ method: "POST", length: "unknown" });
  exchange.outgoing.write(Buffer.from("a part"));
  await exchange.answer();
  expect(await readAll(exchange)).toBe("enough");
  await poll(() => finished.length === 1, "the report");
  expect(finished).toMatchObject([{ outcome: "ok" }]);
  expect(signal?.aborted).toBe(false);
});

test("a function that takes too long is told so, and its visitor gets a 504", async () => {
  let signal: AbortSignal | undefined;
  const forEver = Promise.withResolvers<Response>();
  await open(
    (request) => {
      signal = request.signal;
      return forEver.promise;
    },
    { timeoutMs: 30 },
  );
  expect(await failure(pair.ask())).toMatch(/^origin-timeout/);
  expect(signal?.reason).toMatchObject({ code: "origin-timeout" });
  forEver.resolve(new Response("late"));
});

test("the clock stands still while the function waits for the visitor", async () => {
  await open(async (request) => new Response(await request.text()), { timeoutMs: 50 });
  const exchange = pair.ask({ method: "POST", length: "unknown" });
  const started = performance.now();
  await poll(() => performance.now() - started > 200, "a visitor who takes four times as long");
  exchange.outgoing.write(Buffer.from("at last"));
  exchange.outgoing.end();
  await exchange.answer();
  expect(await readAll(exchange)).toBe("at last");
});
