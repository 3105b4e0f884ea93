/** Through a SOCKS proxy: what is asked of it, and what is said of one that refuses, is silent, cuts, or is none. */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { lookup } from "node:dns/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { proxyFor, type SocksProxy as Named } from "../../agent/connection/proxy.ts";
import { throughSocks } from "../../agent/connection/socks.ts";
import { ProxyUnauthorized } from "../../agent/connection/unreachable.ts";
import { dante, hasProxy } from "../support/debian-proxy.ts";
import { SocksProxy, type SocksProxyOptions } from "../support/socks-proxy.ts";

vi.mock("node:dns/promises", { spy: true });

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  vi.mocked(lookup).mockReset();
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function socksProxy(options?: SocksProxyOptions): Promise<SocksProxy> {
  const proxy = await SocksProxy.start(options);
  cleanups.push(() => proxy.stop());
  return proxy;
}

/** The port of a server that sends back what it gets. */
async function echo(): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Connects as to an edge at `host`, by what stands in ALL_PROXY. */
function open(url: string, host: string, port: number, deadline = AbortSignal.timeout(10_000)) {
  const named = proxyFor(new URL("https://edge.test"), { ALL_PROXY: url }) as Named;
  return throughSocks(named, { host, port }, deadline);
}

/** Why there is no connection. */
async function trouble(...parameters: Parameters<typeof open>): Promise<Error> {
  const failed: unknown = await open(...parameters).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(Error);
  return failed as Error;
}

describe("what the proxy is asked for", () => {
  test.each<[string, string, object]>([
    ["socks5h", "edge.test", { version: 5, kind: "name", host: "edge.test", user: undefined }],
    ["socks", "edge.test", { version: 5, kind: "name", host: "edge.test" }],
    ["socks5", "localhost", { version: 5, kind: "ipv4", host: "127.0.0.1" }],
    ["socks5", "10.1.2.3", { version: 5, kind: "ipv4", host: "10.1.2.3" }],
    ["socks5h", "10.1.2.3", { version: 5, kind: "ipv4", host: "10.1.2.3" }],
    ["socks5h", "fd00::1", { version: 5, kind: "ipv6", host: `fd${"0".repeat(29)}1` }],
    ["socks4a", "edge.test", { version: 4, kind: "name", host: "edge.test", user: "" }],
    ["socks4", "localhost", { version: 4, kind: "ipv4", host: "127.0.0.1" }],
  ])("with %s:// for %s is %o, and bytes pass", async (scheme, host, asked) => {
    const proxy = await socksProxy();
    const port = await echo();
    const socket = await open(proxy.url(scheme), host, port);
    cleanups.push(() => void socket.destroy());
    expect(proxy.asked).toEqual([expect.objectContaining({ ...asked, port })]);
    socket.write("there and back");
    const [back] = (await once(socket, "data")) as [Buffer];
    expect(back.toString()).toBe("there and back");
  });

  test("needs no answer in one piece", async () => {
    const proxy = await socksProxy({ dribbles: true, credentials: "jo:p@ss" });
    const socket = await open(proxy.url("socks5h", "jo:p%40ss"), "edge.test", await echo());
    socket.destroy();
    expect(proxy.asked[0]).toMatchObject({ user: "jo" });
  });

  test("is told with a user's name, where SOCKS4 has one", async () => {
    const proxy = await socksProxy();
    const socket = await open(proxy.url("socks4a", "jo"), "edge.test", await echo());
    socket.destroy();
    expect(proxy.asked[0]).toMatchObject({ user: "jo" });
  });

  test("is a name of which this machine knows nothing, unless it has to", async () => {
    vi.mocked(lookup).mockRejectedValue(Object.assign(new Error("no"), { code: "ENOTFOUND" }));
    const proxy = await socksProxy();
    const { message } = await trouble(proxy.url("socks5"), "edge.test", 1);
    expect(message).toBe(
      'this machine cannot look up the name "edge.test" (ENOTFOUND); with socks5h:// instead of socks5:// in ALL_PROXY the proxy does',
    );
    expect(proxy.asked).toEqual([]);
    (await open(proxy.url("socks5h"), "edge.test", await echo())).destroy();
    expect(lookup).toHaveBeenCalledOnce();
  });

  test("is waited for no longer than the deadline, where this machine's resolver is silent", async () => {
    const deadline = new AbortController();
    vi.mocked(lookup).mockImplementation(() => {
      setImmediate(() => deadline.abort());
      return new Promise(() => {});
    });
    const { message } = await trouble("socks5://127.0.0.1:9", "edge.test", 1, deadline.signal);
    expect(message).toBe('this machine\'s resolver did not answer for "edge.test" in time');
  });

  test("is no IPv6 address by SOCKS4", async () => {
    const { message } = await trouble("socks4a://127.0.0.1:9", "fd00::1", 1);
    expect(message).toContain("SOCKS4 knows no IPv6 addresses");
  });
});

describe("a login", () => {
  test.each<[string, SocksProxyOptions, string, string]>([
    ["that is missing", { credentials: "jo:right" }, "", "wants credentials (SOCKS5): put them"],
    [
      "that is wrong",
      { credentials: "jo:right" },
      "jo:wrong",
      "refuses the credentials that ALL_PROXY holds (SOCKS5): correct them there",
    ],
    [
      "that is asked for though it was not offered",
      { instead: { at: "greeting", answer: [5, 2, 1, 1], after: "silence" } },
      "",
      "wants credentials (SOCKS5): put them",
    ],
    [
      "of another kind",
      { instead: { at: "greeting", answer: [5, 255], after: "end" } },
      "jo:right",
      "wants a login that Sluice does not speak",
    ],
    [
      "of a kind that nobody offered",
      { instead: { at: "greeting", answer: [5, 1], after: "end" } },
      "jo:right",
      "wants a login that Sluice does not speak",
    ],
  ])("%s is said in words", async (_what, options, login, says) => {
    const proxy = await socksProxy(options);
    const error = await trouble(proxy.url("socks5h", login), "127.0.0.1", 1);
    expect(error.message).toContain(`the proxy ${proxy.url()} (ALL_PROXY) ${says}`);
    expect(error).toBeInstanceOf(ProxyUnauthorized);
    // The library's own error has it.
    expect(JSON.stringify([error, error.cause, error.stack])).not.toMatch(/wrong|right/);
    await proxy.left();
  });
});

describe("a proxy", () => {
  const reply = (code: number) => [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
  const reply4 = (code: number) => [0, code, 0, 0, 0, 0, 0, 0];

  test.each<[string, number[], string]>([
    ["socks5h", reply(1), "cannot reach edge.test:7 itself: general failure (1)"],
    [
      "socks5h",
      reply(2),
      "refuses to connect to edge.test:7: not allowed by its rules (2); whoever",
    ],
    ["socks5h", reply(3), "cannot reach edge.test:7 itself: network unreachable (3)"],
    ["socks5h", reply(4), "cannot reach edge.test:7 itself: host unreachable (4)"],
    ["socks5h", reply(5), "cannot reach edge.test:7 itself: connection refused (5)"],
    ["socks5h", reply(6), "cannot reach edge.test:7 itself: TTL expired (6)"],
    ["socks5h", reply(7), "refuses to connect to edge.test:7: command not supported (7); whoever"],
    [
      "socks5h",
      reply(8),
      "takes no address like that of edge.test:7: address type not supported (8); ALL_PROXY decides who looks names up: with socks5:// in it this machine does",
    ],
    ["socks5h", reply(99), "does not answer as SOCKS5 does; if it is an HTTP proxy, write http://"],
    ["socks4a", reply4(91), "cannot reach edge.test:7 itself: request rejected or failed (91)"],
    ["socks4a", reply4(92), "refuses to connect to edge.test:7: it asks this machine's identd"],
    ["socks4a", reply4(93), "refuses to connect to edge.test:7: this machine's identd tells"],
    [
      "socks4a",
      reply4(99),
      "does not answer as SOCKS4 does; if it is an HTTP proxy, write http://",
    ],
  ])("over %s that replies %o is quoted", async (scheme, answer, says) => {
    const proxy = await socksProxy({ instead: { at: "request", answer, after: "silence" } });
    // To reach something is the first thing that it does.
    const port = await echo();
    const { message } = await trouble(proxy.url(scheme), "edge.test", port);
    expect(message).toContain(`(ALL_PROXY) ${says.replaceAll(":7", `:${port}`)}`);
    await proxy.left();
  });

  test.each(["socks5h", "socks4a"])("that speaks HTTP is none, over %s", async (scheme) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const { message } = await trouble(`${scheme}://127.0.0.1:${port}`, "edge.test", 7);
    expect(message).toContain("if it is an HTTP proxy, write http:// in ALL_PROXY");
  });

  test.each<[string, SocksProxyOptions["instead"]]>([
    ["ends before it answers", { at: "greeting", after: "end" }],
    ["ends in the middle of its answer", { at: "greeting", answer: [5], after: "end" }],
    ["ends before it lets us in", { at: "login", after: "end" }],
    ["ends before it connects", { at: "request", after: "end" }],
    [
      "ends in the middle of its reply",
      { at: "request", answer: [5, 0, 0, 1, 0, 0], after: "end" },
    ],
    ["resets the connection", { at: "request", answer: [5, 0], after: "reset" }],
  ])("that %s is said to break off", async (_what, instead) => {
    const proxy = await socksProxy({ credentials: "jo:right", ...(instead && { instead }) });
    const url = proxy.url("socks5h", "jo:right");
    const port = await echo();
    const { message } = await trouble(url, "edge.test", port);
    expect(message).toContain(
      `(ALL_PROXY) broke the connection off instead of leading to edge.test:${port}`,
    );
    await proxy.left();
  });

  test.each<[string, SocksProxyOptions["instead"]]>([
    ["greeting", { at: "greeting", after: "silence" }],
    ["login", { at: "login", answer: [1], after: "silence" }],
    ["request", { at: "request", answer: [5, 0, 0, 1], after: "silence" }],
  ])("that is silent at the %s is given up at the deadline", async (_what, instead) => {
    const proxy = await socksProxy({ credentials: "jo:right", ...(instead && { instead }) });
    const deadline = new AbortController();
    const url = proxy.url("socks5h", "jo:right");
    const port = await echo();
    const failed = trouble(url, "edge.test", port, deadline.signal);
    await proxy.cameTo(instead?.at ?? "greeting");
    deadline.abort();
    const { message } = await failed;
    expect(message).toContain(`(ALL_PROXY) did not connect us to edge.test:${port} in time`);
    await proxy.left();
  });

  test("that is not there is said to be what cannot be reached", async () => {
    const proxy = await SocksProxy.start();
    await proxy.stop();
    const { message } = await trouble(proxy.url(), "edge.test", 7);
    expect(message).toContain("(ALL_PROXY) cannot be reached: connect ECONNREFUSED");
  });
});

describe.runIf(hasProxy("danted"))("dante", () => {
  test.each([
    ["socks4", "127.0.0.1"],
    ["socks5", "127.0.0.1"],
    ["socks5h", "localhost"],
  ])("leads where it is asked to with %s", async (scheme, host) => {
    const proxy = await dante();
    cleanups.push(() => proxy.stop());
    const socket = await open(`${scheme}://127.0.0.1:${proxy.port}`, host, await echo());
    cleanups.push(() => void socket.destroy());
    socket.write("there and back");
    const [back] = (await once(socket, "data")) as [Buffer];
    expect(back.toString()).toBe("there and back");
  });

  test.each([
    ["socks5h", "refuses to connect to 127.0.0.1:7: not allowed by its rules (2); whoever"],
    ["socks4", "cannot reach 127.0.0.1:7 itself: request rejected or failed (91)"],
  ])("is quoted when its rules refuse the edge over %s", async (scheme, says) => {
    const proxy = await dante(["socks block { from: 0.0.0.0/0 to: 0.0.0.0/0 port = 7 }"]);
    cleanups.push(() => proxy.stop());
    const { message } = await trouble(`${scheme}://127.0.0.1:${proxy.port}`, "127.0.0.1", 7);
    expect(message).toContain(says);
  });
});
