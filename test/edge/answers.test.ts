import { describe, expect, test } from "vitest";
import type { ResponseHead } from "../../codec/frame.ts";
import { FakeAgent, newService, reply, send } from "./support/agent.ts";

/** The answer to one request of an origin that says `head` and `body`. */
async function answered(
  head: Partial<ResponseHead>,
  body = "",
  init?: RequestInit,
): Promise<{ response: Response; text: string }> {
  const service = newService();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => reply(exchange, body, head),
  });
  const response = await send(service, "/", { redirect: "manual", ...init });
  const text = await response.text();
  agent.close();
  return { response, text };
}

test("status, reason and body are the origin's", async () => {
  const { response, text } = await answered({ status: 418, reason: "I'm a teapot" }, "short");
  expect([response.status, response.statusText, text]).toEqual([418, "I'm a teapot", "short"]);
  expect(response.headers.has("sluice-error")).toBe(false);
});

test("a reason phrase beyond ASCII neither fails the answer nor leaks the exchange", async () => {
  const { response, text } = await answered({ reason: "schön €" }, "body");
  expect([response.status, response.statusText, text]).toEqual([200, "schön €", "body"]);
});

test("repeated fields stay apart, whatever their case", async () => {
  const headers = ["Set-Cookie", "a=1", "set-cookie", "b=2; Path=/, x", "x-a", "1", "X-A", "2"];
  const { response } = await answered({ headers }, "x");
  expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2; Path=/, x"]);
  expect(response.headers.get("x-a")).toBe("1, 2");
});

test("values beyond ASCII cross as they are", async () => {
  const { response } = await answered({ headers: ["x-a", "é€😀"] }, "x");
  expect(response.headers.get("x-a")).toBe("é€😀");
});

test("an origin cannot speak for the edge, nor frame the answer itself", async () => {
  const headers = ["Sluice-Error", "agent-lost", "sluice-x", "1", "connection", "x-b", "x-b", "1"];
  headers.push("content-length", "99", "transfer-encoding", "chunked", "x-kept", "1");
  const { response, text } = await answered({ headers }, "body");
  expect(Object.fromEntries(response.headers)).toEqual({
    "x-kept": "1",
    "sluice-request-id": expect.any(String),
  });
  expect(text).toBe("body");
});

test("redirects are passed on, not followed", async () => {
  const { response } = await answered({ status: 302, headers: ["location", "/elsewhere"] });
  expect([response.status, response.headers.get("location")]).toEqual([302, "/elsewhere"]);
});

describe("an answer without body", () => {
  test.each([204, 205, 304])("%i has none", async (status) => {
    const { response, text } = await answered({ status, length: "none", headers: ["etag", "x"] });
    expect([response.status, text, response.headers.get("etag")]).toEqual([status, "", "x"]);
  });

  test.each([204, 205, 304])("%i has none, even if the agent says it has", async (status) => {
    const { response, text } = await answered({ status, length: 4 }, "body");
    expect([response.status, text]).toEqual([status, ""]);
  });

  test("to HEAD keeps the length that GET would have", async () => {
    const head = { length: "none" as const, headers: ["content-length", "77"] };
    const { response, text } = await answered(head, "", { method: "HEAD" });
    expect([response.headers.get("content-length"), text]).toEqual(["77", ""]);
  });

  test("of length 0 is empty", async () => {
    const { response, text } = await answered({ length: 0 });
    expect([response.status, text]).toEqual([200, ""]);
  });
});

test("a small body of unknown length arrives whole", async () => {
  const { text } = await answered({ length: "unknown" }, "small");
  expect(text).toBe("small");
});

test.each(["zstd", "unheard-of"])("the bytes of %s are not touched", async (coding) => {
  const headers = ["content-encoding", coding];
  for (const length of [8, "unknown"] as const) {
    const { response, text } = await answered({ headers, length }, "encoded?");
    expect([response.headers.get("content-encoding"), text]).toEqual([coding, "encoded?"]);
  }
});

test("a gzipped answer is not gzipped again", async () => {
  const gzip = new Blob(["plain text"]).stream().pipeThrough(new CompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(gzip).arrayBuffer());
  const service = newService();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => {
      const headers = ["content-encoding", "gzip"];
      exchange.respond({ status: 200, reason: "OK", headers, length: bytes.length });
      exchange.outgoing.write(bytes);
      exchange.outgoing.end();
    },
  });
  // This client decodes what the header names, once.
  expect(await (await send(service)).text()).toBe("plain text");
  agent.close();
});

test("a small answer costs one message each way", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({ service, origin: (exchange) => reply(exchange, "x") });
  await (await send(service)).text();
  const before = agent.messages;
  for (let i = 0; i < 5; i++) expect(await (await send(service)).text()).toBe("x");
  expect(agent.messages - before).toBe(5);
  agent.close();
});

test("a thousand requests at once get each its own answer", async () => {
  const service = newService();
  const agent = await FakeAgent.connect({
    service,
    origin: (exchange) => reply(exchange, exchange.request.path),
  });
  const paths = Array.from({ length: 1000 }, (_, i) => `/${i}`);
  const texts = await Promise.all(paths.map(async (path) => (await send(service, path)).text()));
  expect(texts).toEqual(paths);
  agent.close();
});
