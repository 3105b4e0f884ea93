/** `connect()` of the library against an edge that does as a test wants. */
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, createConnection } from "node:net";
import { dirname } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { connect } from "../../agent/library/connect.ts";
import type { ConnectOptions } from "../../agent/library/options.ts";
import type { Tunnel } from "../../agent/library/tunnel.ts";
import type { TunnelEvent } from "../../agent/events.ts";
import { PrivateServer } from "../../agent/origin/private-server.ts";
import type { Session } from "../../codec/session.ts";
import { within } from "../support/until.ts";
import { FakeEdge } from "./fake-edge.ts";
import { readAll } from "./pair.ts";

let edge: FakeEdge;
const tunnels: Tunnel[] = [];

beforeEach(async () => {
  edge = await FakeEdge.start();
});

afterEach(async () => {
  await Promise.all(tunnels.splice(0).map((tunnel) => tunnel.close({ graceMs: 0 })));
  await edge.stop();
});

const hello = (): Response => new Response("hello");

function options(more: Partial<ConnectOptions> = {}): ConnectOptions {
  return { edge: edge.url, service: "shop", token: "a.token", origin: hello, ...more };
}

async function open(more: Partial<ConnectOptions> = {}): Promise<Tunnel> {
  const tunnel = await within(connect(options(more)), "a tunnel");
  tunnels.push(tunnel);
  return tunnel;
}

async function get(session: Session, path = "/"): Promise<string> {
  const exchange = session.open({ method: "GET", path, headers: [], length: "none" });
  await within(exchange.answer(), "an answer");
  return readAll(exchange);
}

test("it resolves when requests can come, knows its URL, and serves until it is closed", async () => {
  const tunnel = await open();
  expect(tunnel.url).toBe(`http://127.0.0.1:${edge.port}/send/shop/`);
  const caller = await edge.caller();
  expect(await get(caller.session)).toBe("hello");
  await tunnel.close();
  await within(tunnel.closed, "the end");
  expect(caller.closed).toMatchObject({ reason: "shutting-down" });
});

test("an object with a `fetch` is called as a method of it", async () => {
  const application = {
    greeting: "good morning",
    fetch(): Response {
      return new Response(this.greeting);
    },
  };
  await open({ origin: application });
  expect(await get((await edge.caller()).session)).toBe("good morning");
});

test("a port, an address and a URL are the server there", async () => {
  const server = createServer((request, response) => response.end(`asked ${request.url}`));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const address = `http://127.0.0.1:${port}`;
  for (const [index, origin] of [port, address, new URL(address)].entries()) {
    const tunnel = await open({ origin, path: "/base" });
    expect(await get((await edge.caller(index)).session, "/x")).toBe("asked /base/x");
    await tunnel.close();
  }
  server.close();
});

test("listeners are told events by name, until they leave; onEvent is told all from the beginning", async () => {
  const all: TunnelEvent["event"][] = [];
  const tunnel = await open({ onEvent: ({ event }) => all.push(event) });
  const { session } = await edge.caller();
  const paths: string[] = [];
  const leave = tunnel.on("request", ({ path, status }) => paths.push(`${path} ${status}`));
  await get(session, "/one");
  await edge.until(() => paths.length === 1, "the first event");
  leave();
  await get(session, "/two");
  await tunnel.close();
  expect(paths).toEqual(["/one 200"]);
  expect(all).toEqual(["connected", "request", "request", "draining"]);
});

describe("what is final rejects with a code and a sentence", () => {
  test.each([
    [401, "unauthorized", /^The edge refused the token: it is not what `agent token` prints/],
    [426, "upgrade-required", /If agent and edge are of one version/],
  ])("the edge answers %s: %s", async (status, code, message) => {
    edge.refusal = { status, fields: { "sluice-error": code }, body: "No." };
    await expect(connect(options())).rejects.toMatchObject({
      name: "ConnectError",
      code,
      message: expect.stringMatching(message),
    });
    expect(edge.upgrades.length).toBe(1);
  });

  test.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    ["no edge", { edge: undefined }, /^The option edge is missing\.$/],
    ["no token", { token: undefined }, /^The option token is missing\.$/],
    ["an edge that is no URL", { edge: "shop" }, /^edge must be .*, not "shop"\.$/],
    ["a service that is none", { service: "My Shop" }, /^service must be .*, not "My Shop"\.$/],
    ["a token of two words", { token: "a b" }, /^token must be one word/],
    ["a port that is none", { origin: 0 }, /^origin must be a whole number from 1 to 65535/],
    ["an address that is none", { origin: "4000" }, /^origin must be .*, not "4000"\.$/],
    ["an origin of another kind", { origin: {} }, /^origin must be a port, an address,/],
    ["an https.Server", { origin: createSecureServer() }, /^origin must be .*not one of https/],
    ["a listener of node:http", { origin: (_a: unknown, _b: unknown) => {} }, /createServer/],
    ["seconds that look like milliseconds", { grace: "30" }, /^grace must be milliseconds/],
    ["a time that is none", { originTimeout: -1 }, /^originTimeout must be .*, not "-1ms"\.$/],
    ["too many at once", { concurrency: 1e6 }, /^concurrency must be .*, not "1000000"\.$/],
    ["the path of a function", { path: "/x" }, /^path says something of a server's address/],
    ["the CA of a server", { origin: createServer(), originCa: "x" }, /^originCa says something/],
    ["a file that is not there", { ca: "/nowhere.pem" }, /nowhere\.pem/],
    ["an edge of another kind", { edge: 8787 }, /^edge must be text or a URL, .*, not a number\.$/],
    ["no service", { service: null }, /^service must be text, not null\.$/],
    ["a token of another kind", { token: { secret: 1 } }, /^token must be text, not an object\.$/],
    ["no origin", { origin: null }, /^origin must be a port, an address,/],
    ["a path of another kind", { origin: 4000, path: 1 }, /^path must be text, not a number\.$/],
    ["a number as text", { concurrency: "8" }, /^concurrency must be a number, not text\.$/],
    ["a number that is none", { concurrency: Number.NaN }, /^concurrency must be a number/],
    ["a host of another kind", { hostHeader: ["a"] }, /^hostHeader must be text, not an array\.$/],
    ["a time of another kind", { grace: true }, /^grace must be milliseconds, or .*, not true\.$/],
    ["a flag as text", { replace: "no" }, /^replace must be true or false, not text\.$/],
    ["a file's content", { ca: Buffer.from("-----BEGIN") }, /^ca must be the path of a PEM file/],
    [
      "a controller",
      { signal: new AbortController() },
      /^signal must be an AbortSignal, not an obj/,
    ],
    ["an event's name", { onEvent: "connected" }, /^onEvent must be a function, not text\.$/],
    ["an option of the command", { port: 4000 }, /^There is no option "port"\. .*origin: 4000\.$/],
    [
      "an option that is none",
      { timeout: 1 },
      /^There is no option "timeout"\. There are edge, serv/,
    ],
    ["a name of every object's", { toString: 1 }, /^There is no option "toString"/],
  ])("%s", async (_what, wrong, message) => {
    await expect(connect({ ...options(), ...wrong })).rejects.toMatchObject({
      name: "ConnectError",
      code: "usage",
      message: expect.stringMatching(message),
    });
    expect(edge.upgrades.length).toBe(0);
  });
});

test.each([
  ["nothing", undefined, "undefined"],
  ["null", null, "null"],
  ["a URL", "https://edge.example", "text"],
  ["a list", [], "an array"],
  ["a function", hello, "a function"],
])("connect() of %s rejects, and shows what it wants", async (_what, given, kind) => {
  const connecting = connect(given as never);
  await expect(connecting).rejects.toMatchObject({
    name: "ConnectError",
    code: "usage",
    message: `connect() wants an object, as in connect({ edge: "https://edge.example", service: "shop", token, origin: 4000 }), not ${kind}.`,
  });
});

test("an option that is undefined is not given, whatever its name", async () => {
  const more: object = { path: undefined, signal: undefined, nothing: undefined };
  await open(more);
});

test("a tunnel that the edge does not take back ends with the reason", async () => {
  const events: string[] = [];
  const tunnel = await open({ onEvent: ({ event }) => events.push(event) });
  const caller = await edge.caller();
  edge.refusal = { status: 401, fields: { "sluice-error": "unauthorized" }, body: "No." };
  caller.ws.terminate();
  await expect(within(tunnel.closed, "the end")).rejects.toMatchObject({ code: "unauthorized" });
  expect(events).toEqual(["connected", "disconnected", "error"]);
  // It is over: there is nothing to wait for.
  await within(tunnel.close(), "the end");
});

test("as long as there is no edge it dials again, until the signal says that it is enough", async () => {
  const enough = new AbortController();
  const reason = new Error("nobody waits any more");
  const { port } = edge;
  await edge.stop();
  const connecting = connect(
    options({
      edge: `http://127.0.0.1:${port}`,
      signal: enough.signal,
      onEvent: ({ event }) => {
        if (event === "disconnected") enough.abort(reason);
      },
    }),
  );
  await expect(within(connecting, "the end")).rejects.toBe(reason);
  await expect(connect(options({ signal: enough.signal }))).rejects.toBe(reason);
  edge = await FakeEdge.start();
});

test("a signal is for connecting: a tunnel that is there goes on", async () => {
  const end = new AbortController();
  const tunnel = await open({ signal: end.signal });
  end.abort();
  const { session } = await edge.caller();
  expect(await get(session)).toBe("hello");
  await tunnel.close();
});

test("close() lets what is in flight finish; close({ graceMs: 0 }) ends what still waits", async () => {
  const held: ((response: Response) => void)[] = [];
  const signals: AbortSignal[] = [];
  const origin = ({ signal }: Request): Promise<Response> => {
    signals.push(signal);
    return new Promise((resolve) => held.push(resolve));
  };
  const tunnel = await open({ origin });
  const { session } = await edge.caller();
  const [first, second] = [get(session, "/first"), get(session, "/second")];
  await edge.until(() => held.length === 2, "two requests");
  const closing = tunnel.close();
  held[0]?.(hello());
  expect(await first).toBe("hello");
  const failed = expect(second).rejects.toThrow("shutting-down");
  await within(tunnel.close({ graceMs: 0 }), "the end");
  await within(closing, "the same end");
  await failed;
  expect(signals.map(({ aborted }) => aborted)).toEqual([false, true]);
  held[1]?.(hello());
  await expect(tunnel.close({ graceMs: -1 })).rejects.toThrow(RangeError);
});

test("close({ graceMs }) waits no longer than it says", async () => {
  const begun = Promise.withResolvers<void>();
  const origin = (): Promise<Response> => {
    begun.resolve();
    return new Promise(() => {});
  };
  const tunnel = await open({ origin, grace: "1h" });
  const { session } = await edge.caller();
  const asked = get(session).catch((error: Error) => error.message);
  await begun.promise;
  await within(tunnel.close({ graceMs: 100 }), "the end");
  expect(await asked).toMatch(/shutting-down/);
});

test("`await using` closes at the end of the block", async () => {
  const tunnel = await open();
  const caller = await edge.caller();
  await tunnel[Symbol.asyncDispose]();
  await within(tunnel.closed, "the end");
  await edge.until(() => caller.closed, "the end at the edge");
});

test("a process holds many tunnels, and each ends by itself", async () => {
  const names = Array.from({ length: 20 }, (_, i) => `shop-${i}`);
  const opened = await Promise.all(
    names.map((service) => open({ service, origin: () => new Response(service) })),
  );
  const answers = new Map<string, Session>();
  for (let i = 0; i < names.length; i++) {
    const caller = await edge.caller(i);
    answers.set(String(caller.request.url), caller.session);
  }
  await opened[0]?.close();
  for (const name of names.slice(1)) {
    const session = answers.get(`/websocket/${name}`);
    if (session === undefined) throw new Error(`${name} did not connect`);
    expect(await get(session)).toBe(name);
  }
});

test("it listens to no signal, writes nothing, and leaves no listener behind", async () => {
  const names = ["SIGINT", "SIGTERM", "SIGHUP", "exit", "uncaughtException", "warning"];
  const counts = (): number[] => names.map((name) => process.listenerCount(name));
  const before = counts();
  const written: unknown[] = [];
  const { stdout, stderr } = process;
  const note = (text: unknown): true => {
    written.push(text);
    return true;
  };
  const spies = [stdout, stderr].map((stream) =>
    vi.spyOn(stream, "write").mockImplementation(note),
  );
  try {
    const origin = createServer((_request, response) => response.destroy());
    const tunnel = await open({ origin });
    expect(counts().slice(0, 3)).toEqual(before.slice(0, 3));
    await get((await edge.caller()).session).catch(() => {});
    await tunnel.close({ graceMs: 0 });
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  expect(counts()).toEqual(before);
  expect(written).toEqual([]);
});

describe("an http.Server without a port", () => {
  const serve = (): Server => createServer((request, response) => response.end(request.url));

  test("answers, though it listens nowhere, and is its owner's when the tunnel is closed", async () => {
    const server = serve();
    const tunnel = await open({ origin: server });
    expect(await get((await edge.caller()).session, "/a?b")).toBe("/a?b");
    expect(server.listening).toBe(false);
    await tunnel.close();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const answer = await fetch(`http://127.0.0.1:${port}/direct`);
    expect(await answer.text()).toBe("/direct");
    server.close();
    server.closeAllConnections();
  });

  test("may listen on a port as well, and serve two tunnels", async () => {
    const server = serve();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    await open({ origin: server, service: "one" });
    await open({ origin: server, service: "two" });
    expect(await get((await edge.caller(0)).session, "/1")).toBe("/1");
    expect(await get((await edge.caller(1)).session, "/2")).toBe("/2");
    server.close();
    server.closeAllConnections();
  });

  test.skipIf(process.platform === "win32")(
    "is reached over a socket in a directory that only its owner can enter, and that goes with it",
    async () => {
      const between = await PrivateServer.before(serve());
      expect(statSync(dirname(between.path)).mode & 0o777).toBe(0o700);
      await between.close();
      expect(existsSync(dirname(between.path))).toBe(false);
    },
  );

  test("is left at once, though it keeps its end of a connection open", async () => {
    // As one that has upgraded a connection may: nobody but its owner would end it.
    const server = createServer().on("upgrade", (_request, socket) => socket.on("error", () => {}));
    const between = await PrivateServer.before(server);
    const client = createConnection(between.path);
    client.on("error", () => {});
    const closed = once(client, "close");
    client.write("GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    await within(once(server, "upgrade"), "the upgrade");
    await within(between.close(), "the end of the private server");
    await within(closed, "the end at the client");
  });

  test("whose socket cannot be made is a failure of this machine, with its cause", async () => {
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = "/nowhere";
    try {
      await expect(connect(options({ origin: serve() }))).rejects.toMatchObject({
        name: "ConnectError",
        code: "failed",
        cause: { code: "ENOENT" },
      });
    } finally {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
    }
  });

  test("leaves no socket behind when the tunnel cannot be had", async () => {
    const exits = process.listenerCount("exit");
    edge.refusal = { status: 401, fields: { "sluice-error": "unauthorized" }, body: "No." };
    await expect(connect(options({ origin: serve() }))).rejects.toMatchObject({
      code: "unauthorized",
    });
    await expect(connect(options({ origin: serve(), ca: "/nowhere.pem" }))).rejects.toMatchObject({
      code: "usage",
    });
    expect(process.listenerCount("exit")).toBe(exits);
  });
});
