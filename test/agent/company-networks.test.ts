/** `agent connect` behind proxies and interceptions of every kind, as a person there meets them: what works, and what is said. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { authority, certificate, type CertificateOptions } from "../support/certificate.ts";
import { ConnectProxy, type ConnectProxyOptions } from "../support/connect-proxy.ts";
import { Origin } from "../support/origin.ts";
import { Program } from "../support/program.ts";
import { SocksProxy, type SocksProxyOptions } from "../support/socks-proxy.ts";
import { FakeEdge } from "./fake-edge.ts";
import { readAll } from "./pair.ts";

const corp = authority("Corp Interception CA");
let directory = "";
let edge: FakeEdge;
const cleanups: (() => Promise<unknown> | void)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-unit-"));
  await writeFile(join(directory, "token"), "a.token\n");
  await writeFile(join(directory, "corp.pem"), corp.cert);
  await writeFile(join(directory, "other.pem"), authority("Another CA").cert);
});
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function fakeEdge(): Promise<FakeEdge> {
  edge = await FakeEdge.start();
  cleanups.push(() => edge.stop());
  return edge;
}

async function connectProxy(options?: ConnectProxyOptions): Promise<ConnectProxy> {
  const proxy = await ConnectProxy.start(options);
  cleanups.push(() => proxy.stop());
  return proxy;
}

/** TLS in front of the edge, with a certificate of the company's for edge.test and 0.0.0.0. */
async function overTls(options: CertificateOptions = {}): Promise<number> {
  const sockets = new Set<Socket>();
  const names = ["edge.test", "0.0.0.0"];
  const server = createTlsServer(certificate({ names, issuer: corp, ...options }), (socket) => {
    const behind = connect(edge.port, "127.0.0.1");
    for (const [one, other] of [
      [socket, behind],
      [behind, socket],
    ] as const) {
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => other.destroy());
      one.pipe(other);
    }
  });
  return listen(server, sockets);
}

async function listen(server: Server, sockets = new Set<Socket>()): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

interface AgentOptions {
  readonly port?: number;
  readonly flags?: readonly string[];
}

/** `agent connect --json` to `url`, with nothing of the environment's proxies but what is given. */
function agent(
  url: string,
  env: Readonly<Record<string, string>> = {},
  { port = 1, flags = [] }: AgentOptions = {},
): Program {
  const token = join(directory, "token");
  const to = ["-e", url, "-s", "shop", "-p", String(port), "--token-file", token];
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
  const none = names.flatMap((name) => [name, name.toLowerCase()]).map((name) => [name, ""]);
  const program = Program.agent(["connect", ...to, "--json", ...flags], {
    env: { ...Object.fromEntries(none), NODE_EXTRA_CA_CERTS: "", ...env },
  });
  cleanups.push(() => program.stop());
  return program;
}

/** Why it is not connected; it has not ended over that. */
async function trouble(program: Program): Promise<string> {
  const { code, reason } = await program.event("disconnected");
  expect(program.ended).toBe(false);
  return `${String(code)}: ${String(reason)}`;
}

describe("through a proxy", () => {
  test("an http edge is reached by CONNECT, and requests pass", async () => {
    const origin = await Origin.start();
    cleanups.push(() => origin.stop());
    origin.otherwise(({ response }) => response.end("hello"));
    await fakeEdge();
    const proxy = await connectProxy();
    agent(`http://edge.test:${edge.port}`, { http_proxy: proxy.url }, { port: origin.port });
    const { session, request } = await edge.caller();
    expect(proxy.asked[0]).toBe(`edge.test:${edge.port}`);
    expect(request.headers).toMatchObject({
      host: `edge.test:${edge.port}`,
      authorization: "Bearer a.token",
    });
    expect(request.headers["proxy-authorization"]).toBeUndefined();
    const exchange = session.open({ method: "GET", path: "/", headers: [], length: "none" });
    await exchange.answer();
    expect(await readAll(exchange)).toBe("hello");
  });

  test("an https edge is reached by CONNECT, and its certificate is looked at", async () => {
    await fakeEdge();
    const port = await overTls();
    const proxy = await connectProxy();
    const env = { HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: join(directory, "corp.pem") };
    agent(`https://edge.test:${port}`, env);
    await edge.caller();
    expect(proxy.asked[0]).toBe(`edge.test:${port}`);
  });

  test.each([
    ["NODE_EXTRA_CA_CERTS", true],
    ["--ca", false],
  ])("it may itself speak TLS, by an authority that %s names", async (_, extra) => {
    await fakeEdge();
    const proxy = await connectProxy({
      secure: certificate({ names: ["127.0.0.1"], issuer: corp }),
    });
    const file = join(directory, "corp.pem");
    const url = `https://edge.test:${await overTls()}`;
    const env = extra ? { NODE_EXTRA_CA_CERTS: file } : {};
    agent(url, { HTTPS_PROXY: proxy.url, ...env }, { flags: extra ? [] : ["--ca", file] });
    await edge.caller();
    expect(proxy.asked).not.toEqual([]);
  });

  test("it is not spoken to when its own certificate is not trusted", async () => {
    const secure = certificate({ names: ["127.0.0.1"], issuer: corp });
    const proxy = await connectProxy({ secure, credentials: "jo:secret" });
    const program = agent("http://edge.test", {
      HTTP_PROXY: proxy.url.replace("//", "//jo:secret@"),
    });
    expect(await trouble(program)).toContain("cannot be reached: unable to verify");
    expect(proxy.asked).toEqual([]);
  });

  test("NO_PROXY leads around it", async () => {
    await fakeEdge();
    const proxy = await connectProxy();
    const env = { HTTP_PROXY: proxy.url, NO_PROXY: "0.0.0.0" };
    agent(`http://0.0.0.0:${edge.port}`, env);
    await edge.caller();
    expect(proxy.asked).toEqual([]);
  });

  test("credentials in its URL are given to it, and to nobody else", async () => {
    await fakeEdge();
    const proxy = await connectProxy({ credentials: "jo:p@ss" });
    const program = agent(`http://edge.test:${edge.port}`, {
      HTTP_PROXY: `http://jo:p%40ss@127.0.0.1:${proxy.port}`,
    });
    const { request } = await edge.caller();
    expect(request.headers["proxy-authorization"]).toBeUndefined();
    expect(program.stderr + JSON.stringify(program.events)).not.toContain("p%40ss");
  });

  test.each([
    ["no credentials", "", "wants credentials (407): put them into HTTP_PROXY"],
    ["wrong ones", "jo:wrong@", "refuses the credentials that HTTP_PROXY holds (407)"],
  ])("%s end the agent at the start, as they would stay so", async (_what, given, says) => {
    await fakeEdge();
    const proxy = await connectProxy({ credentials: "jo:right" });
    const program = agent(`http://edge.test:${edge.port}`, {
      HTTP_PROXY: `http://${given}127.0.0.1:${proxy.port}`,
    });
    expect(await program.exit()).toEqual({ code: 2, signal: null });
    expect(proxy.asked).toHaveLength(1);
    const { code, message } = await program.event("error");
    expect(code).toBe("proxy-unauthorized");
    expect(message).toContain(says);
    expect(program.stderr).not.toContain("jo:wrong");
  });

  test("a login of Windows is said to be none that works", async () => {
    await fakeEdge();
    const proxy = await connectProxy({ credentials: "jo:right", challenge: "NTLM" });
    const program = agent(`http://edge.test:${edge.port}`, { HTTP_PROXY: proxy.url });
    expect(await program.exit()).toMatchObject({ code: 2 });
    expect(program.stderr).toContain("cntlm");
  });

  test("an agent that was connected outlives a proxy that wants other credentials for a while", async () => {
    await fakeEdge();
    const proxy = await connectProxy();
    const program = agent(`http://edge.test:${edge.port}`, { HTTP_PROXY: proxy.url });
    await program.event("connected");
    proxy.refusal = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n";
    proxy.cut();
    await program.event("disconnected", ({ code }) => code === "edge-unreachable");
    proxy.refusal = undefined;
    await edge.caller(1);
  });

  test.each([
    [
      "a page",
      "HTTP/1.1 403 Filtered\r\nContent-Type: text/html\r\n\r\n<html>\n<title>403 Category: tunnels</title>\n",
      "refuses to connect to edge.test:9: 403 Category: tunnels; whoever runs it must allow CONNECT to there",
    ],
    [
      "a line",
      "HTTP/1.1 403 No\r\nContent-Length: 11\r\n\r\nNot allowed",
      "refuses to connect to edge.test:9: 403 Not allowed;",
    ],
    ["nothing", "HTTP/1.1 405 Not so\r\n\r\n", "refuses to connect to edge.test:9: 405 Not so;"],
    [
      "that it has no way",
      "HTTP/1.1 503 Service Unavailable\r\n\r\n",
      "cannot reach edge.test:9 itself: 503 Service Unavailable",
    ],
    ["no HTTP", "SSH-2.0-x\r\n\r\n", "broke the connection off: Parse Error"],
    ["its end", "", "broke the connection off: socket hang up"],
  ])("a proxy that answers with %s is quoted, and dialled again", async (_what, refusal, says) => {
    const proxy = await connectProxy({ refusal });
    const program = agent("http://edge.test:9", { HTTP_PROXY: proxy.url });
    expect(await trouble(program)).toContain(
      `edge-unreachable: the proxy ${proxy.url} (HTTP_PROXY) ${says}`,
    );
    await proxy.askedFor(2);
  });

  test("a proxy that is not there is said to be what cannot be reached", async () => {
    const proxy = await ConnectProxy.start();
    await proxy.stop();
    const program = agent("https://edge.test", { https_proxy: proxy.url });
    expect(await trouble(program)).toContain(
      `the proxy ${proxy.url} (https_proxy) cannot be reached: connect ECONNREFUSED`,
    );
  });

  test("a proxy that never answers is given up after ten seconds", async () => {
    const proxy = await connectProxy({ silent: true });
    const program = agent("http://edge.test:9", { HTTP_PROXY: proxy.url });
    const { reason } = await program.event("disconnected", undefined, 0, 15_000);
    expect(reason).toContain("did not connect us to edge.test:9 in time");
  });

  test("an agent that is told to end while a proxy does not answer ends at once", async () => {
    const proxy = await connectProxy({ silent: true });
    const program = agent("http://edge.test:9", { HTTP_PROXY: proxy.url });
    await proxy.askedFor(1);
    program.kill("SIGTERM");
    expect(await program.exit(5000)).toEqual({ code: 0, signal: null });
  });

  test("a file of automatic configuration is refused in words", async () => {
    const program = agent("http://edge.test", { HTTP_PROXY: "http://corp.example/proxy.pac" });
    expect(await program.exit()).toMatchObject({ code: 2 });
    expect(program.stderr).toContain("HTTP_PROXY names a file of automatic configuration (PAC)");
  });

  test("connections that it cuts are made again, and what is in flight goes on", async () => {
    const origin = await Origin.start();
    cleanups.push(() => origin.stop());
    origin.otherwise(({ response }) => response.write("half"));
    await fakeEdge();
    const proxy = await connectProxy();
    const env = { HTTP_PROXY: proxy.url };
    const program = agent(`http://edge.test:${edge.port}`, env, { port: origin.port });
    const { session } = await edge.caller();
    const exchange = session.open({ method: "GET", path: "/", headers: [], length: "none" });
    await exchange.answer();
    proxy.cut();
    await program.event("resumed");
    origin.log[0]?.response.end(" and half");
    expect(await readAll(exchange)).toBe("half and half");
  });
});

describe("through a SOCKS proxy", () => {
  async function socksProxy(options?: SocksProxyOptions): Promise<SocksProxy> {
    const proxy = await SocksProxy.start(options);
    cleanups.push(() => proxy.stop());
    return proxy;
  }

  test("an http edge is reached, and what is in flight goes on when the proxy cuts", async () => {
    const origin = await Origin.start();
    cleanups.push(() => origin.stop());
    origin.otherwise(({ response }) => response.write("half"));
    await fakeEdge();
    const proxy = await socksProxy({ credentials: "jo:p@ss" });
    const env = { ALL_PROXY: proxy.url("socks5h", "jo:p%40ss") };
    const program = agent(`http://edge.test:${edge.port}`, env, { port: origin.port });
    const { session, request } = await edge.caller();
    expect(request.headers["host"]).toBe(`edge.test:${edge.port}`);
    expect(proxy.asked[0]).toMatchObject({ host: "edge.test", port: edge.port, user: "jo" });
    const exchange = session.open({ method: "GET", path: "/", headers: [], length: "none" });
    await exchange.answer();
    proxy.cut();
    await program.event("resumed");
    origin.log[0]?.response.end(" and half");
    expect(await readAll(exchange)).toBe("half and half");
    expect(program.stderr + JSON.stringify(program.events)).not.toMatch(/p(?:%40|@)ss/);
  });

  test.each(["socks5h", "socks4a"])(
    "an https edge is reached with %s, and its certificate is looked at",
    async (scheme) => {
      await fakeEdge();
      const proxy = await socksProxy();
      const flags = ["--ca", join(directory, "corp.pem")];
      const url = `https://edge.test:${await overTls()}`;
      agent(url, { HTTPS_PROXY: proxy.url(scheme) }, { flags });
      await edge.caller();
      expect(proxy.asked[0]).toMatchObject({ kind: "name", host: "edge.test" });
    },
  );

  test("an edge's certificate for another name is refused", async () => {
    await fakeEdge();
    const proxy = await socksProxy();
    const flags = ["--ca", join(directory, "corp.pem")];
    const url = `https://edge.test:${await overTls({ names: ["127.0.0.1", "other.test"] })}`;
    const program = agent(url, { HTTPS_PROXY: proxy.url() }, { flags });
    expect(await trouble(program)).toContain("edge.test was issued by");
    expect(edge.upgrades).toEqual([]);
  });

  test("credentials that it refuses end the agent at the start, as they would stay so", async () => {
    const proxy = await socksProxy({ credentials: "jo:right" });
    const program = agent("http://edge.test:9", { ALL_PROXY: proxy.url("socks5h", "jo:wrong") });
    expect(await program.exit()).toEqual({ code: 2, signal: null });
    const { code, message } = await program.event("error");
    expect(code).toBe("proxy-unauthorized");
    expect(message).toBe(
      `The proxy ${proxy.url()} (ALL_PROXY) refuses the credentials that ALL_PROXY holds (SOCKS5): correct them there.`,
    );
    expect(program.stderr + JSON.stringify(program.events)).not.toContain("wrong");
    expect(proxy.steps).toEqual(["greeting", "login"]);
  });

  test("an edge that it does not reach is said to be so, and tried again", async () => {
    const answer = [5, 4, 0, 1, 0, 0, 0, 0, 0, 0];
    const proxy = await socksProxy({ instead: { at: "request", answer, after: "end" } });
    await fakeEdge();
    const program = agent(`http://edge.test:${edge.port}`, { HTTP_PROXY: proxy.url() });
    expect(await trouble(program)).toBe(
      `edge-unreachable: the proxy ${proxy.url()} (HTTP_PROXY) cannot reach edge.test:${edge.port} itself: host unreachable (4)`,
    );
    const { at } = await program.event("disconnected");
    await program.event("disconnected", (event) => event.at > at);
  });

  test("NO_PROXY leads around it", async () => {
    await fakeEdge();
    const proxy = await socksProxy();
    agent(`http://0.0.0.0:${edge.port}`, { ALL_PROXY: proxy.url(), NO_PROXY: "0.0.0.0" });
    await edge.caller();
    expect(proxy.steps).toEqual([]);
  });

  test("an agent that is told to end while it does not answer ends at once", async () => {
    const proxy = await socksProxy({ instead: { at: "greeting", after: "silence" } });
    const program = agent("http://edge.test:9", { ALL_PROXY: proxy.url() });
    await proxy.cameTo("greeting");
    program.kill("SIGTERM");
    expect(await program.exit(5000)).toEqual({ code: 0, signal: null });
  });
});

describe("an upgrade that something on the way answers", () => {
  test.each([200, 400, 401, 403, 404, 426])(
    "with %i ends nothing, and is explained",
    async (status) => {
      await fakeEdge();
      edge.refusal = { status, body: "<html>" };
      const proxy = await connectProxy();
      const program = agent(`http://edge.test:${edge.port}`, { HTTP_PROXY: proxy.url });
      expect(await trouble(program)).toBe(
        `http-${status}: the upgrade to a WebSocket was answered with ${status}: the server there is not a Sluice edge (is --edge right?), or the proxy ${proxy.url} (HTTP_PROXY) or another does not let WebSockets pass`,
      );
      edge.refusal = undefined;
      await program.event("connected");
    },
  );
});

describe("a certificate", () => {
  const unknown =
    'edge-unreachable: the certificate that answers for 0.0.0.0 was issued by "Corp Interception CA", which is not trusted here';

  test("of an authority that nobody knows is refused by its name, with what to do", async () => {
    await fakeEdge();
    const says = await trouble(agent(`https://0.0.0.0:${await overTls()}`));
    expect(says).toContain(unknown);
    expect(says).toContain("--ca <PEM file> or NODE_EXTRA_CA_CERTS");
    expect(edge.upgrades).toEqual([]);
  });

  test("of an interception is refused by its name", async () => {
    await fakeEdge();
    const proxy = await connectProxy({
      intercept: certificate({ names: ["edge.test"], issuer: corp }),
    });
    const program = agent(`https://edge.test:${edge.port}`, { HTTPS_PROXY: proxy.url });
    expect(await trouble(program)).toContain('edge.test was issued by "Corp Interception CA"');
    expect(edge.upgrades).toEqual([]);
  });

  test.each<[string, string[], Record<string, string>]>([
    ["--ca", ["--ca", "corp.pem"], {}],
    ["AGENT_CA", [], { AGENT_CA: "corp.pem" }],
    ["NODE_EXTRA_CA_CERTS", [], { NODE_EXTRA_CA_CERTS: "corp.pem" }],
    ["the system (SSL_CERT_FILE)", [], { SSL_CERT_FILE: "corp.pem" }],
  ])("of an interception is believed when %s names the authority", async (_, flags, env) => {
    await fakeEdge();
    const proxy = await connectProxy({
      intercept: certificate({ names: ["edge.test"], issuer: corp }),
    });
    const inDirectory = (name: string) => name.replace(/^.*\.pem$/, join(directory, name));
    const variables = Object.entries(env).map(([name, value]) => [name, inDirectory(value)]);
    agent(
      `https://edge.test:${edge.port}`,
      { HTTPS_PROXY: proxy.url, ...(Object.fromEntries(variables) as typeof env) },
      { flags: flags.map(inDirectory) },
    );
    await edge.caller();
  });

  test("is not believed for NODE_EXTRA_CA_CERTS when --ca names another authority", async () => {
    await fakeEdge();
    const env = { NODE_EXTRA_CA_CERTS: join(directory, "corp.pem") };
    const flags = ["--ca", join(directory, "other.pem")];
    const program = agent(`https://0.0.0.0:${await overTls()}`, env, { flags });
    expect(await trouble(program)).toContain(unknown);
  });

  test.each<[string, CertificateOptions, string]>([
    ["that has expired", { days: [-3, -1] }, "has expired (CERT_HAS_EXPIRED)"],
    ["of the future", { days: [1, 2] }, "is not valid yet (is this machine's clock right?)"],
    ["for another name", { names: ["other.test"] }, "is for another name"],
  ])("%s is refused though its authority is known", async (_what, options, says) => {
    await fakeEdge();
    const flags = ["--ca", join(directory, "corp.pem")];
    const program = agent(`https://0.0.0.0:${await overTls(options)}`, {}, { flags });
    expect(await trouble(program)).toContain(says);
    expect(edge.upgrades).toEqual([]);
  });

  test("of a server that speaks no TLS is none", async () => {
    await fakeEdge();
    const says = await trouble(agent(`https://0.0.0.0:${edge.port}`));
    expect(says).toContain("0.0.0.0 does not speak TLS");
  });

  test("of a server that hangs up in the middle is none", async () => {
    const port = await listen(createServer((socket) => socket.destroy()));
    expect(await trouble(agent(`https://0.0.0.0:${port}`))).toMatch(/TLS/);
  });

  test("file that holds none is exit code 2", async () => {
    const program = agent("https://0.0.0.0:1", {}, { flags: ["--ca", join(directory, "token")] });
    expect(await program.exit()).toMatchObject({ code: 2 });
    expect(program.stderr).toContain("(--ca) cannot be used: it holds no PEM certificate");
  });
});
