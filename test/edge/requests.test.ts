import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RequestHead } from "../../codec/frame.ts";
import { requestHead } from "../../edge/request.ts";
import { exports } from "cloudflare:workers";
import { bodyOf, FakeAgent, newService, reply, send } from "./support/agent.ts";

const service = newService();
let agent: FakeAgent;
let heads: RequestHead[] = [];
let body = "";

beforeAll(async () => {
  agent = await FakeAgent.connect({
    service,
    origin: async (exchange) => {
      heads.push(exchange.request);
      body = await bodyOf(exchange);
      reply(exchange);
    },
  });
});

afterAll(() => agent.close());

/** The head that reaches the agent. */
async function headOf(path: string, init?: RequestInit): Promise<RequestHead> {
  heads = [];
  await send(service, path, init);
  const [head] = heads;
  if (head === undefined) throw new Error("nothing reached the agent");
  return head;
}

/** The head as fields: name to value. */
async function fieldsOf(init: RequestInit, path = "/"): Promise<Record<string, string>> {
  return pairs(await headOf(path, init));
}

function pairs({ headers }: RequestHead): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? "";
    expect(fields).not.toHaveProperty([name]);
    fields[name] = headers[i + 1] ?? "";
  }
  return fields;
}

/** A request as workerd hands it over, with fields that a client's Request cannot have. */
function headFrom(init: {
  headers?: Record<string, string>;
  cf?: object;
  url?: string;
}): RequestHead {
  const url = init.url ?? "http://edge.test/send/shop/x";
  const request = new Request(url, { headers: init.headers ?? {}, cf: init.cf as never });
  const route = { kind: "send", service: "shop", target: "/x", prefix: "/send/shop" } as const;
  return requestHead(request, route);
}

test("method, path and query reach the origin byte for byte", async () => {
  const head = await headOf("/a%2Fb//c%C3%A9;x=1?q=%20+&&=%2e%2e", { method: "PROPFIND" });
  expect(head.method).toBe("PROPFIND");
  expect(head.path).toBe("/a%2Fb//c%C3%A9;x=1?q=%20+&&=%2e%2e");
});

describe("the body's length", () => {
  test.each(["GET", "POST", "DELETE", "PURGE"])("of a bodyless %s is none", async (method) => {
    expect((await headOf("/", { method })).length).toBe("none");
  });

  test("of an empty POST stays 0", async () => {
    expect((await headOf("/", { method: "POST", body: "" })).length).toBe(0);
    expect(body).toBe("");
  });

  test("of a known body is its number", async () => {
    expect((await headOf("/", { method: "POST", body: "abc" })).length).toBe(3);
    expect(body).toBe("abc");
  });

  test("of a stream is unknown", async () => {
    const stream = new ReadableStream({
      start(controller) {
        for (const text of ["abc", "def"]) controller.enqueue(new TextEncoder().encode(text));
        controller.close();
      },
    });
    expect((await headOf("/", { method: "PUT", body: stream })).length).toBe("unknown");
    expect(body).toBe("abcdef");
  });
});

test("hop-by-hop fields, all that Connection names, and our own never cross", () => {
  const head = headFrom({
    headers: {
      connection: "x-named, X-Forwarded-For",
      "keep-alive": "timeout=5",
      "proxy-authorization": "x",
      "proxy-connection": "x",
      te: "trailers",
      trailer: "x",
      upgrade: "h2c",
      expect: "100-continue",
      host: "edge.test:8787",
      "content-length": "0",
      "x-named": "1",
      "x-kept": "1",
      "sluice-token": "secret",
      "sluice-anything": "1",
      "x-forwarded-for": "192.0.2.1",
    },
  });
  expect(pairs(head)).toEqual({
    "x-kept": "1",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-host": "edge.test:8787",
    "x-forwarded-proto": "http",
    "x-forwarded-prefix": "/send/shop",
  });
  expect(head.length).toBe(0);
});

test("a field that some origins would take for one of the edge's does not cross", async () => {
  const fields = await fieldsOf({
    headers: {
      sluice_request_id: "1",
      "sluice-request_id": "1",
      x_forwarded_for: "192.0.2.1",
      "x-forwarded_for": "192.0.2.1",
      x_forwarded_proto: "https",
      cf_connecting_ip: "192.0.2.1",
      x_mine: "crosses",
    },
  });
  expect(Object.keys(fields).filter((name) => name.includes("_"))).toEqual(["x_mine"]);
});

describe("the visitor's address is appended to x-forwarded-for", () => {
  test.each([
    [{ clientIp: "192.0.2.7:4711" }, {}, "192.0.2.7"],
    [{ clientIp: "[2001:db8::1]:4711" }, {}, "2001:db8::1"],
    [{ clientIp: "2001:db8::1" }, {}, "2001:db8::1"],
    [{}, { "cf-connecting-ip": "192.0.2.8" }, "192.0.2.8"],
    [{ clientIp: "192.0.2.7:1" }, { "cf-connecting-ip": "10.9.9.9" }, "192.0.2.7"],
    [
      { clientIp: "192.0.2.7:1" },
      { "x-forwarded-for": "10.0.0.1, 10.0.0.2" },
      "10.0.0.1, 10.0.0.2, 192.0.2.7",
    ],
    // A proxy on the visitor's own machine is a hop all the same.
    [{ clientIp: "127.0.0.1:4711" }, { "x-forwarded-for": "127.0.0.1" }, "127.0.0.1, 127.0.0.1"],
    // As on Cloudflare, which has appended it.
    [
      {},
      { "cf-connecting-ip": "192.0.2.8", "x-forwarded-for": "10.0.0.1,192.0.2.8" },
      "10.0.0.1,192.0.2.8",
    ],
    [{}, { "cf-connecting-ip": "192.0.2.8", "x-forwarded-for": "192.0.2.8" }, "192.0.2.8"],
    [{}, { "cf-connecting-ip": "0.2.8", "x-forwarded-for": "192.0.2.8" }, "192.0.2.8, 0.2.8"],
    [{}, {}, undefined],
  ])("%o %o", (cf, headers, expected) => {
    expect(pairs(headFrom({ cf, headers }))["x-forwarded-for"]).toBe(expected);
  });
});

test("a visitor cannot choose the host and prefix that the origin believes in", async () => {
  const fields = await fieldsOf({
    headers: { "x-forwarded-host": "evil.test", "x-forwarded-prefix": "/evil" },
  });
  expect(fields["x-forwarded-host"]).toBe("edge.test");
  expect(fields["x-forwarded-prefix"]).toBe(`/send/${service}`);
});

test.each(["x/send/other", "x?y", "x#y", "user@x", "x\\\\y"])("the host %o is refused", (host) => {
  expect(() => headFrom({ headers: { host } })).toThrow("bad-request");
});

test("the scheme is the edge's, unless a proxy in front of it names the visitor's", () => {
  const proto = (headers: Record<string, string>, url?: string): string | undefined =>
    pairs(headFrom({ headers, ...(url && { url }) }))["x-forwarded-proto"];
  expect(proto({})).toBe("http");
  expect(proto({}, "https://edge.test/send/shop/x")).toBe("https");
  expect(proto({ "x-forwarded-proto": "https" })).toBe("https");
  expect(proto({ "x-forwarded-proto": "gopher" })).toBe("http");
});

test.each([
  ["a=1, b=2", "a=1; b=2"],
  ["a=1; b=2, c=3, d=", "a=1; b=2; c=3; d="],
  ["a=1; b=2", "a=1; b=2"],
  ["when=Mon, 01 Jan 2026", "when=Mon, 01 Jan 2026"],
  ['a="x, y=z"', 'a="x, y=z"'],
  ["a=1,2", "a=1,2"],
])("the cookies %o reach the origin as %o", (sent, received) => {
  expect(pairs(headFrom({ headers: { cookie: sent } }))["cookie"]).toBe(received);
});

describe("accept-encoding", () => {
  const accepted = (cf: object): string | undefined =>
    pairs(headFrom({ cf, headers: { "accept-encoding": "gzip, br" } }))["accept-encoding"];

  test("is the visitor's own where Cloudflare tells it", () => {
    expect(accepted({ clientAcceptEncoding: "zstd" })).toBe("zstd");
    expect(accepted({ clientAcceptEncoding: "" })).toBeUndefined();
  });

  test("is what was sent elsewhere", () => {
    expect(accepted({})).toBe("gzip, br");
  });
});

test("header values beyond ASCII cross as they are", async () => {
  expect((await fieldsOf({ headers: { "x-a": "é€😀" } }))["x-a"]).toBe("é€😀");
});

test("a service's own host has no prefix", async () => {
  heads = [];
  await exports.default.fetch(`https://${service}.tunnel.test/a?b`);
  expect(heads[0]?.path).toBe("/a?b");
  const fields = pairs(heads[0] as RequestHead);
  expect(fields["x-forwarded-host"]).toBe(`${service}.tunnel.test`);
  expect(fields).not.toHaveProperty("x-forwarded-prefix");
});
