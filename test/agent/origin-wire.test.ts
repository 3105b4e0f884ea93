/** What an origin receives, byte for byte. */
import { afterEach, expect, test } from "vitest";
import type { OriginOptions } from "../../agent/origin/origin.ts";
import type { RequestHead } from "../../codec/frame.ts";
import { RawOrigin } from "../support/origin.ts";
import { Watch } from "../support/until.ts";
import { TunnelEnd } from "./tunnel-end.ts";

let origin: RawOrigin | undefined;
let end: TunnelEnd | undefined;
let received = "";
const watch = new Watch();

afterEach(async () => {
  await end?.stop();
  await origin?.stop();
  received = "";
});

/** An origin that keeps every byte and answers nothing. */
async function listen(options: Partial<OriginOptions> = {}): Promise<TunnelEnd> {
  origin = await RawOrigin.start((socket) => {
    socket.on("data", (bytes) => {
      received += bytes.toString("latin1");
      watch.changed();
    });
  });
  end = await TunnelEnd.to(origin.port, options);
  return end;
}

/** What the agent adds to every request, as `requestFields` says. */
const requestId = /sluice-request-id: session-\d+-\d+\r\n/;

/** The request as received but for its id, once it ends like `last`; our own port is written as PORT. */
async function wire(last = "\r\n\r\n"): Promise<string> {
  const found = await watch.until(
    () => received.endsWith(last) && received,
    `bytes that end like ${JSON.stringify(last)}`,
  );
  expect(found).toMatch(requestId);
  return found.replace(requestId, "").replaceAll(`:${origin?.port}`, ":PORT");
}

type Head = Partial<RequestHead> & { readonly body?: string };

test.each<[string, Head, string]>([
  ["a GET", {}, "GET / HTTP/1.1\r\nhost: localhost:PORT\r\nconnection: keep-alive\r\n\r\n"],
  [
    "a target with everything that a URL parser would change",
    { path: "/a/../%2e%2e//b%2Fc?q=1&q=%20#/?'\"<>|{}" },
    "GET /a/../%2e%2e//b%2Fc?q=1&q=%20#/?'\"<>|{} HTTP/1.1\r\nhost: localhost:PORT\r\nconnection: keep-alive\r\n\r\n",
  ],
  [
    "fields in their order, case and repetition, and beyond ASCII as UTF-8",
    { headers: ["X-B", "1", "x-a", "grün", "X-B", "2"] },
    "GET / HTTP/1.1\r\nhost: localhost:PORT\r\nconnection: keep-alive\r\nX-B: 1\r\nx-a: gr\u00c3\u00bcn\r\nX-B: 2\r\n\r\n",
  ],
  [
    "a POST without a body, which says so as the method asks for",
    { method: "POST" },
    "POST / HTTP/1.1\r\nhost: localhost:PORT\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
  ],
  [
    "a POST with an empty body",
    { method: "POST", body: "" },
    "POST / HTTP/1.1\r\nhost: localhost:PORT\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
  ],
  ...["DELETE", "OPTIONS", "PURGE", "M-SEARCH", "FOO"].map((method): [string, Head, string] => [
    `a bodyless ${method}, which must not become chunked`,
    { method },
    `${method} / HTTP/1.1\r\nhost: localhost:PORT\r\nconnection: keep-alive\r\n\r\n`,
  ]),
])("the origin gets %s", async (_what, head, expected) => {
  const tunnel = await listen();
  tunnel.ask(head);
  expect(await wire()).toBe(expected);
});

test.each(["GET", "HEAD", "POST", "DELETE", "QUERY", "REPORT"])(
  "a %s with a body of known length has it with its Content-Length",
  async (method) => {
    const tunnel = await listen();
    tunnel.ask({ method, body: "hello" });
    const text = await wire("hello");
    expect(text).toMatch(new RegExp(`^${method} / HTTP/1\\.1\r\nhost: localhost:PORT\r\n`));
    expect(text.match(/content-length/gi)).toHaveLength(1);
    expect(text).toContain("content-length: 5\r\n");
    expect(text).not.toMatch(/transfer-encoding/i);
    expect(text.endsWith("\r\n\r\nhello")).toBe(true);
  },
);

test.each(["GET", "POST", "FOO"])(
  "a %s whose body has no known length is chunked, its head sent before the first byte of it",
  async (method) => {
    const tunnel = await listen();
    const exchange = tunnel.ask({ method, length: "unknown", headers: ["x-a", "1"] });
    const head = await wire();
    expect(head).toBe(
      `${method} / HTTP/1.1\r\nhost: localhost:PORT\r\nx-a: 1\r\ntransfer-encoding: chunked\r\nConnection: keep-alive\r\n\r\n`,
    );
    exchange.outgoing.write(Buffer.from("hello"));
    expect(await wire("hello\r\n")).toBe(`${head}5\r\nhello\r\n`);
    exchange.outgoing.end();
    expect(await wire("0\r\n\r\n")).toBe(`${head}5\r\nhello\r\n0\r\n\r\n`);
  },
);

test("an empty body of unknown length stays chunked", async () => {
  const tunnel = await listen();
  const exchange = tunnel.ask({ method: "POST", length: "unknown" });
  exchange.outgoing.end();
  const text = await wire("0\r\n\r\n");
  expect(text).toContain("transfer-encoding: chunked\r\n");
  expect(text.endsWith("\r\n\r\n0\r\n\r\n")).toBe(true);
});

test("a body of known length that is still on its way has its head sent first, and its length", async () => {
  const tunnel = await listen();
  const exchange = tunnel.ask({ method: "POST", length: 5 });
  const head = await wire();
  expect(head).toBe(
    "POST / HTTP/1.1\r\nhost: localhost:PORT\r\ncontent-length: 5\r\nConnection: keep-alive\r\n\r\n",
  );
  exchange.outgoing.write(Buffer.from("hello"));
  exchange.outgoing.end();
  expect(await wire("hello")).toBe(`${head}hello`);
});

test("--host-header is what both clients send as Host", async () => {
  const tunnel = await listen({ hostHeader: "shop.example" });
  tunnel.ask();
  tunnel.ask({ method: "POST", length: "unknown" });
  await watch.until(
    () => received.match(/host: shop\.example\r\n/gi)?.length === 2,
    "two requests with that Host",
  );
  expect(received).not.toContain("localhost");
});

test("what belongs to the visitor's connection does not reach the origin", async () => {
  const tunnel = await listen();
  tunnel.ask({
    headers: [
      "Connection",
      "close, x-hop",
      "x-hop",
      "1",
      "TE",
      "trailers",
      "Upgrade",
      "h2c",
      "x-kept",
      "1",
    ],
  });
  const text = await wire();
  expect(text).toBe(
    "GET / HTTP/1.1\r\nhost: localhost:PORT\r\nconnection: keep-alive\r\nx-kept: 1\r\n\r\n",
  );
});
