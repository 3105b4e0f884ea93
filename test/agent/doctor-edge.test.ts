/** What `agent doctor` says of the way to the edge, each fault a real one. */
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { authority, certificate, type CertificateOptions } from "../support/certificate.ts";
import { ConnectProxy, type ConnectProxyOptions } from "../support/connect-proxy.ts";
import { SocksProxy, type SocksProxyOptions } from "../support/socks-proxy.ts";
import { diagnose, unsigned } from "./diagnose.ts";
import { FakeEdge } from "./fake-edge.ts";

const corp = authority("Corp Interception CA");
let directory = "";
const cleanups: (() => Promise<unknown> | void)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-unit-"));
  await writeFile(join(directory, "corp.pem"), corp.cert);
});
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function fakeEdge(): Promise<FakeEdge> {
  const edge = await FakeEdge.start();
  edge.shards = 1;
  cleanups.push(() => edge.stop());
  return edge;
}

async function connectProxy(options?: ConnectProxyOptions): Promise<ConnectProxy> {
  const proxy = await ConnectProxy.start(options);
  cleanups.push(() => proxy.stop());
  return proxy;
}

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

const website = (answer: RequestListener): Promise<number> => listen(createHttpServer(answer));

/** Where nobody listens. */
async function nowhere(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** TLS in front of an edge, with a certificate for 127.0.0.1. */
async function overTls(edge: FakeEdge, options: CertificateOptions = {}): Promise<number> {
  const server = createTlsServer(
    certificate({ names: ["127.0.0.1"], issuer: corp, ...options }),
    (socket) => {
      const behind = connect(edge.port, "127.0.0.1");
      for (const [one, other] of [
        [socket, behind],
        [behind, socket],
      ] as const) {
        one.on("error", () => {});
        one.on("close", () => other.destroy());
        one.pipe(other);
      }
    },
  );
  return listen(server);
}

test("where all is well, only what this edge cannot do is not ok", async () => {
  const { url } = await fakeEdge();
  const found = await diagnose({ edge: url.origin, idleMs: 50 });
  expect(found.all("fail")).toEqual([]);
  expect(found.all("skip")).toEqual(["dns", "proxy", "tls", "origin"]);
  expect(found.all("warn")).toEqual(["throughput"]);
  expect(found.of("round-trip")).toMatch(/^ok: min [\d.]+ ms, median [\d.]+ ms/);
  expect(found.of("idle")).toMatch(/^ok: still there after \d\.\d s, pong in /);
  expect(found.exit).toBe(0);
});

describe("the way to the edge", () => {
  test("nobody listens: the port is named, and only what needs it is left out", async () => {
    const port = await nowhere();
    const found = await diagnose({ edge: `http://127.0.0.1:${port}`, port });
    expect(found.of("tcp")).toMatch(
      /^fail: connect ECONNREFUSED .* → Nothing listens at 127\.0\.0\.1:\d+\. Is the edge running/,
    );
    expect(found.of("upgrade")).toBe("skip: TCP failed");
    expect(found.of("idle")).toBe("skip: TCP failed");
    expect(found.all("fail")).toEqual(["tcp", "origin"]);
    expect(found.exit).toBe(1);
    expect(found.summary).toContain("2 failed (TCP, origin)");
    expect(found.summary).toContain("First: Nothing listens");
  });

  test("a name that nobody knows is quoted", async () => {
    const found = await diagnose({ edge: "https://edge.invalid" });
    expect(found.finding("dns")).toMatchObject({ status: "fail" });
    expect(found.of("dns")).toContain('"edge.invalid"');
    expect(found.of("tcp")).toBe("skip: DNS failed");
  });

  test("a server that is no edge is described", async () => {
    const port = await website((_request, response) => {
      response.writeHead(404, { server: "nginx/1.26", "content-type": "text/html" });
      response.end("<html><title>404 Not Found</title></html>");
    });
    const found = await diagnose({ edge: `http://127.0.0.1:${port}` });
    expect(found.of("edge")).toMatch(
      /^fail: no Sluice edge: 404, Server: "nginx\/1\.26", "404 Not Found" → Give --edge as `agent edge`/,
    );
    expect(found.of("upgrade")).toBe("skip: edge failed");
    expect(found.exit).toBe(1);
  });

  test.each<[string, RequestListener, RegExp]>([
    [
      "that leads elsewhere",
      (_, response) => response.writeHead(301, { location: "https://edge.example/x" }).end(),
      /It leads to https:\/\/edge\.example: give that/,
    ],
    [
      "that is a gateway",
      (_, response) => response.writeHead(502, { server: "caddy" }).end(),
      /502, Server: "caddy" → A gateway answers/,
    ],
    [
      "that wants https",
      (_, response) =>
        response
          .writeHead(400)
          .end("Client sent an HTTP request to an HTTPS server on its HTTPS port"),
      /Give --edge as https/,
    ],
    [
      "that is Cloudflare's guard",
      (_, response) =>
        response.writeHead(403, { "cf-mitigated": "challenge", server: "cloudflare" }).end(),
      /leave out --edge's host from bot protection/,
    ],
    [
      "that is an edge with a fault",
      (_, response) => response.writeHead(500, { "sluice-error": "internal-error" }).end(),
      /the edge answers 500 \(internal-error\) → Look at the edge's log/,
    ],
    ["that hangs up", (request) => request.destroy(), /the connection ended without an answer/],
  ])("a server %s gets an answer of its own", async (_what, answer, says) => {
    const port = await website(answer);
    const found = await diagnose({ edge: `http://127.0.0.1:${port}` });
    expect(found.of("edge")).toMatch(says);
    expect(found.finding("edge").status).toBe("fail");
  });

  test("what speaks no HTTP is said to", async () => {
    const port = await listen(createServer((socket) => socket.end("SSH-2.0-OpenSSH\r\n")));
    const found = await diagnose({ edge: `http://127.0.0.1:${port}` });
    expect(found.of("edge")).toMatch(/^fail: what answers is no HTTP/);
  });
});

describe("a proxy", () => {
  test("is what is looked up, connected to and asked", async () => {
    const edge = await fakeEdge();
    const proxy = await connectProxy();
    const environment = { HTTP_PROXY: proxy.url };
    const found = await diagnose({ edge: `http://edge.test:${edge.port}`, environment });
    expect(found.all("fail")).toEqual([]);
    expect(found.of("proxy")).toMatch(/^ok: HTTP_PROXY: CONNECT edge\.test:\d+ took/);
    expect(found.of("tls")).toMatch(/^warn: http: the token and every request can be read/);
    expect(found.results.find(({ name }) => name === "tcp")?.target).toBe(
      `127.0.0.1:${proxy.port}`,
    );
  });

  test.each<[string, ConnectProxyOptions, string, number]>([
    [
      "that refuses",
      { refusal: "HTTP/1.1 403 Filtered\r\n\r\n<title>Category: tunnels</title>" },
      "403 Category: tunnels → Whoever runs it must allow CONNECT to there",
      1,
    ],
    [
      "that wants credentials",
      { credentials: "jo:right" },
      "wants credentials (407) → Put them into HTTP_PROXY",
      2,
    ],
    [
      "that has no way",
      { refusal: "HTTP/1.1 503 No\r\n\r\n" },
      "→ Ask whoever runs the proxy whether it reaches edge.test:9",
      1,
    ],
  ])("%s is quoted", async (_what, options, says, exit) => {
    const proxy = await connectProxy(options);
    const found = await diagnose({
      edge: "http://edge.test:9",
      environment: { HTTP_PROXY: proxy.url },
    });
    expect(found.of("proxy")).toContain(says);
    expect(found.of("edge")).toBe("skip: proxy failed");
    expect(found.exit).toBe(exit);
  });

  test("wrong credentials are not shown", async () => {
    const proxy = await connectProxy({ credentials: "jo:right" });
    const HTTP_PROXY = `http://jo:planted-password@127.0.0.1:${proxy.port}`;
    const found = await diagnose({ edge: "http://edge.test:9", environment: { HTTP_PROXY } });
    expect(found.of("proxy")).toContain(
      "refuses the credentials that HTTP_PROXY holds (407) → Correct them there.",
    );
    expect(JSON.stringify(found.results)).not.toContain("planted");
  });

  test("that is not there is what fails", async () => {
    const HTTP_PROXY = `http://127.0.0.1:${await nowhere()}`;
    const found = await diagnose({ edge: "http://edge.test", environment: { HTTP_PROXY } });
    expect(found.of("tcp")).toContain("Is the proxy running, and is the port in HTTP_PROXY right?");
    expect(found.of("proxy")).toBe("skip: TCP failed");
  });

  test("of a kind that Sluice does not speak is a matter of configuration", async () => {
    const environment = { HTTP_PROXY: "ftp://127.0.0.1:1080" };
    const found = await diagnose({ edge: "http://edge.test", environment });
    expect(found.of("configuration")).toMatch(/^fail: HTTP_PROXY must be a proxy's URL/);
    expect(found.all("skip")).toHaveLength(12);
    expect(found.exit).toBe(2);
  });
});

describe("a SOCKS proxy", () => {
  async function socksProxy(options?: SocksProxyOptions): Promise<SocksProxy> {
    const proxy = await SocksProxy.start(options);
    cleanups.push(() => proxy.stop());
    return proxy;
  }

  test("is gone through, and it is said who looks names up", async () => {
    const edge = await fakeEdge();
    const proxy = await socksProxy({ credentials: "jo:right" });
    const found = await diagnose({
      edge: `http://edge.test:${edge.port}`,
      environment: { ALL_PROXY: proxy.url("socks5h", "jo:right") },
    });
    expect(found.all("fail")).toEqual([]);
    expect(found.of("proxy")).toMatch(
      /^ok: ALL_PROXY, with credentials: SOCKS5, where the proxy looks names up, to edge\.test:\d+ took/,
    );
    expect(found.results.find(({ name }) => name === "proxy")?.target).toBe(proxy.url());
  });

  test.each<[string, SocksProxyOptions, string, number]>([
    [
      "that wants credentials",
      { credentials: "jo:right" },
      "wants credentials (SOCKS5) → Put them into ALL_PROXY, as in socks5h://",
      2,
    ],
    [
      "that refuses",
      { instead: { at: "request", answer: [5, 2, 0, 1, 0], after: "end" } },
      "not allowed by its rules (2) → Whoever runs it must allow that",
      1,
    ],
    [
      "that has no way",
      { instead: { at: "request", answer: [5, 4, 0, 1, 0], after: "end" } },
      "host unreachable (4) → Ask whoever runs the proxy whether it reaches edge.test:",
      1,
    ],
    [
      "that is none",
      { instead: { at: "greeting", answer: "HTTP/1.1 400 No\r\n\r\n", after: "end" } },
      "does not answer as SOCKS5 does → If it is an HTTP proxy, write http:// in ALL_PROXY",
      1,
    ],
  ])("%s is quoted", async (_what, options, says, exit) => {
    const edge = await fakeEdge();
    const proxy = await socksProxy(options);
    const found = await diagnose({
      edge: `http://edge.test:${edge.port}`,
      environment: { ALL_PROXY: proxy.url() },
    });
    expect(found.of("proxy")).toContain(says);
    expect(found.of("edge")).toBe("skip: proxy failed");
    expect(found.exit).toBe(exit);
  });
});

describe("a certificate", () => {
  test("of an authority that nobody knows is refused by its name, with what to do", async () => {
    const edge = await fakeEdge();
    const found = await diagnose({ edge: `https://127.0.0.1:${await overTls(edge)}` });
    expect(found.of("tls")).toMatch(
      /^fail: the certificate that answers for 127\.0\.0\.1 was issued by "Corp Interception CA", which is not trusted here .* → If "Corp Interception CA" is your company's, something on the way opens TLS: give its certificate with --ca/,
    );
    expect(found.of("edge")).toBe("skip: TLS failed");
    expect(edge.counts).toEqual([]);
  });

  test("of an interception on the way of a proxy is named too", async () => {
    const edge = await fakeEdge();
    const proxy = await connectProxy({
      intercept: certificate({ names: ["edge.test"], issuer: corp }),
    });
    const environment = { HTTPS_PROXY: proxy.url };
    const found = await diagnose({ edge: `https://edge.test:${edge.port}`, environment });
    expect(found.of("proxy")).toMatch(/^ok: HTTPS_PROXY: CONNECT/);
    expect(found.of("tls")).toContain('"Corp Interception CA"');
  });

  test("is believed by --ca, and its authority named", async () => {
    const edge = await fakeEdge();
    const flags = { ca: join(directory, "corp.pem") };
    const found = await diagnose({ edge: `https://127.0.0.1:${await overTls(edge)}`, flags });
    expect(found.of("tls")).toMatch(
      /^(ok|warn): TLSv1\.3 in .* issued by "Corp Interception CA", good for \d+ days/,
    );
    expect(found.finding("tls").data).toMatchObject({
      source: "--ca",
      authority: '"Corp Interception CA"',
    });
    expect(found.all("fail")).toEqual([]);
  });

  test.each<[string, CertificateOptions, RegExp]>([
    ["has expired", { days: [-3, -1] }, /has expired .* → Have whoever runs the edge renew/],
    ["is not valid yet", { days: [1, 3] }, /is not valid yet .* → Set this machine's clock right/],
    [
      "is for another name",
      { names: ["other.test"] },
      /is for another name .* → Give --edge with the name/,
    ],
  ])("that %s is told so", async (_what, options, says) => {
    const edge = await fakeEdge();
    const flags = { ca: join(directory, "corp.pem") };
    const found = await diagnose({
      edge: `https://127.0.0.1:${await overTls(edge, options)}`,
      flags,
    });
    expect(found.of("tls")).toMatch(says);
  });

  test("is missing where a server speaks no TLS", async () => {
    const edge = await fakeEdge();
    const found = await diagnose({ edge: `https://127.0.0.1:${edge.port}` });
    expect(found.of("tls")).toMatch(
      /^fail: .* → What answers there speaks no TLS: is it http:\/\//,
    );
  });
});

describe("the upgrade", () => {
  test("that something on the way answers is blamed on who says so", async () => {
    const edge = await fakeEdge();
    edge.refusal = {
      status: 403,
      fields: { via: "1.1 squid-7", server: "squid" },
      body: "<title>No sockets</title>",
    };
    const found = await diagnose({ edge: edge.url.origin });
    expect(found.of("upgrade")).toBe(
      `fail: answered with 403 instead of 101, Server: "squid", Via: "1.1 squid-7", "No sockets" → That is not the edge's answer: what calls itself Server: "squid", Via: "1.1 squid-7" must let WebSockets through to 127.0.0.1:${edge.port}.`,
    );
    expect(found.exit).toBe(1);
  });

  test("that reaches the edge as none is somebody's on the way, or a matter of versions", async () => {
    const edge = await fakeEdge();
    edge.refusal = { status: 426, fields: { "sluice-error": "upgrade-required" } };
    const found = await diagnose({ edge: edge.url.origin });
    expect(found.of("upgrade")).toMatch(
      /^fail: 426: an edge that does not tell its version got no upgrade .* a proxy or firewall on the way takes the upgrade out/,
    );
    expect(found.exit).toBe(5);
  });

  test("without our subprotocol is a matter of versions", async () => {
    const edge = await fakeEdge();
    edge.protocol = false;
    const found = await diagnose({ edge: edge.url.origin });
    expect(found.of("upgrade")).toMatch(/^fail: the edge does not speak sluice\.v1/);
    expect(found.exit).toBe(5);
  });

  test("that breaks the connection is told from HTTP that passes", async () => {
    const port = await listen(
      createHttpServer((_request, response) =>
        response.writeHead(204, { "sluice-shards": "1" }).end(),
      ).on("upgrade", (_request, socket) => socket.destroy()),
    );
    const found = await diagnose({ edge: `http://127.0.0.1:${port}` });
    expect(found.of("upgrade")).toMatch(
      /^fail: broken off: .* → HTTP passes and the upgrade does not/,
    );
  });

  test("after which nothing comes is held back", { timeout: 40_000 }, async () => {
    const edge = await fakeEdge();
    const proxy = await connectProxy();
    const found = await diagnose({
      edge: `http://edge.test:${edge.port}`,
      environment: { HTTP_PROXY: proxy.url },
      begins: (title) => {
        if (title === "round trip") for (const { ws } of edge.callers) ws.pause();
      },
    });
    expect(found.of("round-trip")).toMatch(
      /^fail: the connection opened, and nothing came over it/,
    );
    expect(found.of("idle")).toBe("skip: round trip failed");
  });
});

describe("a token", () => {
  const days = (count: number): number => Math.floor(Date.now() / 1000) + count * 86_400;

  test.each([
    ["none", false, "fail: A token is missing", 2],
    ["text", "no-token-at-all", "fail: it is not what `agent token` prints → Make another one", 4],
    ["an expired one", unsigned({ exp: days(-1) }), "fail: it expired at ", 4],
    [
      "another service's",
      unsigned({ service: "blog" }),
      'fail: it is for the service "blog", not for "shop"',
      4,
    ],
    ["a visitor's", unsigned({ role: "visitor" }), "fail: it is for visitors, not for agents", 4],
  ] as const)("%s is known without asking anybody", async (_what, token, says, exit) => {
    const found = await diagnose({ edge: `http://127.0.0.1:${await nowhere()}`, token });
    expect(found.of("token")).toContain(says);
    expect(found.exit).toBe(exit);
    if (token !== false) expect(JSON.stringify(found.results)).not.toContain(token);
  });

  test("that ends soon is a warning", async () => {
    const found = await diagnose({
      edge: `http://127.0.0.1:${await nowhere()}`,
      token: unsigned({ exp: days(1) }),
    });
    expect(found.of("token")).toMatch(
      /^warn: role agent, expires in 24 h .* → Make another one with `agent token --service shop` before it ends/,
    );
  });

  test("that the edge refuses proves the upgrade all the same", async () => {
    const edge = await fakeEdge();
    edge.refusal = { status: 401, fields: { "sluice-error": "unauthorized" } };
    const found = await diagnose({ edge: edge.url.origin });
    expect(found.of("upgrade")).toBe("ok: the edge got the upgrade whole, and answered it");
    expect(found.of("authentication")).toMatch(
      /^fail: 401 \(unauthorized\): it was not signed with the secret that the edge runs with .* --secret-file of that edge/,
    );
    expect(found.of("idle")).toBe("skip: authentication failed");
    expect(found.exit).toBe(4);
  });

  test("that is good at an edge which cannot be measured is said to be good", async () => {
    const edge = await fakeEdge();
    edge.refusal = { status: 400, fields: { "sluice-error": "bad-request" } };
    const found = await diagnose({ edge: edge.url.origin });
    expect(found.of("authentication")).toMatch(/^warn: the token is good; this edge .* → Update/);
    expect(found.of("throughput")).toBe("skip: no connection came to be");
    expect(found.exit).toBe(0);
  });

  test("that is missing leaves the way to the edge to be looked at", async () => {
    const edge = await fakeEdge();
    edge.refusal = { status: 401, fields: { "sluice-error": "unauthorized" } };
    const found = await diagnose({ edge: edge.url.origin, token: false });
    expect(edge.upgrades[0]?.headers.authorization).toBeUndefined();
    expect(found.of("upgrade")).toMatch(/^ok/);
    expect(found.of("authentication")).toBe("skip: there is no token");
  });
});

describe("a silent connection", () => {
  test("that is cut on the way is told so, with when and by whom", async () => {
    const edge = await fakeEdge();
    const proxy = await connectProxy();
    const found = await diagnose({
      edge: `http://edge.test:${edge.port}`,
      environment: { HTTP_PROXY: proxy.url },
      idleMs: 10_000,
      begins: (title) => {
        if (title === "idle survival") proxy.cut();
      },
    });
    expect(found.of("idle")).toMatch(
      new RegExp(
        `^fail: cut after 0\\.\\d s of silence: the proxy ${proxy.url} \\(HTTP_PROXY\\), or something behind it, broke it off \\(.*\\) → An agent pings every 20 s`,
      ),
    );
    expect(found.exit).toBe(1);
  });

  test("that the edge itself closes is told from that", async () => {
    const edge = await fakeEdge();
    const found = await diagnose({
      edge: edge.url.origin,
      idleMs: 10_000,
      begins: (title) => {
        if (title === "idle survival") for (const { ws } of edge.callers) ws.close(1001, "moving");
      },
    });
    expect(found.of("idle")).toContain("the edge closed it with 1001 (moving)");
  });

  test("that is forgotten without a word is found dead", async () => {
    const edge = await fakeEdge();
    const found = await diagnose({
      edge: edge.url.origin,
      idleMs: 50,
      begins: (title) => {
        if (title === "idle survival") for (const { ws } of edge.callers) ws.pause();
      },
    });
    expect(found.of("idle")).toMatch(/^fail: dead after \d\.\d s of silence, and nobody said so/);
  });
});
