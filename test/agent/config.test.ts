import { expect, test } from "vitest";
import {
  connectConfig,
  edgeConfig,
  publicUrl,
  socketUrl,
  tokenConfig,
} from "../../agent/config/config.ts";
import type { Given, GivenValues } from "../../agent/config/given.ts";
import { isLoopback } from "../../agent/config/loopback.ts";
import { UsageError } from "../../agent/config/usage.ts";

function flag(text: string, from = "--flag"): Given {
  return { text, from, flag: true };
}

function variable(text: string, from = "AGENT_X"): Given {
  return { text, from, flag: false };
}

const least: GivenValues = {
  edge: flag("https://edge.example", "--edge"),
  service: flag("shop", "--service"),
  port: flag("4000", "--port"),
};

function connect(given: GivenValues): ReturnType<typeof connectConfig> {
  return connectConfig({ ...least, ...given });
}

test("edge, service and port are enough; the rest has defaults", () => {
  const config = connectConfig(least);
  expect(config).toMatchObject({
    service: "shop",
    concurrency: 64,
    graceMs: 30_000,
    originTimeoutMs: 600_000,
    hostHeader: undefined,
    origin: { label: "http://localhost:4000", socketPath: undefined },
  });
  expect(publicUrl(config)).toBe("https://edge.example/send/shop/");
  expect(socketUrl(config).href).toBe("wss://edge.example/websocket/shop");
});

test("an http edge is dialled by ws", () => {
  const config = connect({ edge: flag("http://127.0.0.1:8787") });
  expect(socketUrl(config).href).toBe("ws://127.0.0.1:8787/websocket/shop");
});

test.each([
  ["edge", "ftp://edge.example"],
  ["edge", "https://edge.example/path"],
  ["edge", "https://edge.example/?query"],
  ["edge", "edge.example"],
  ["service", "Shop"],
  ["service", "-shop"],
  ["service", "sh op"],
  ["service", "s".repeat(64)],
  ["service", "../shop"],
  ["port", "0"],
  ["port", "65536"],
  ["port", "4000x"],
  ["port", "-1"],
  ["concurrency", "0"],
  ["concurrency", "2049"],
  ["concurrency", "many"],
  ["concurrency", "1e2"],
  ["grace", "soon"],
  ["grace", "2d"],
  ["originTimeout", "25d"],
  ["hostHeader", "a b"],
  ["origin", "http://localhost:1/path"],
  ["origin", "h2c://localhost:1/path"],
  ["path", "graphql"],
  ["path", "/graphql?a=b"],
  ["path", "/a/../b"],
  ["origin", "unix:relative"],
  ["origin", "localhost:1"],
])("a wrong %s (%j) is refused with the flag, what is expected and the value", (name, value) => {
  const given = { ...least, [name]: flag(value, `--${name}`) };
  if (name === "origin") delete given.port;
  expect(() => connectConfig(given)).toThrow(UsageError);
  expect(() => connectConfig(given)).toThrow(`--${name} must be `);
  expect(() => connectConfig(given)).toThrow(`not "${value}"`);
});

test("a complaint about an environment variable names the variable", () => {
  expect(() => connect({ concurrency: variable("many", "AGENT_CONCURRENCY") })).toThrow(
    'AGENT_CONCURRENCY must be a whole number from 1 to 2048, not "many".',
  );
});

test("a value that a terminal would act on is shown escaped", () => {
  expect(() => connect({ concurrency: flag("\u001b[2J") })).toThrow(String.raw`not "\u001b[2J"`);
});

test.each([
  ["edge", "--edge is missing"],
  ["service", "--service is missing"],
  ["port", "Where is your server?"],
])("without %s the sentence says what to give", (name, says) => {
  const given = Object.fromEntries(Object.entries(least).filter(([key]) => key !== name));
  expect(() => connectConfig(given)).toThrow(says);
});

test("port and origin exclude each other when both are flags or both are variables", () => {
  const both = { port: flag("1", "--port"), origin: flag("http://a:1", "--origin") };
  expect(() => connect(both)).toThrow("--port and --origin say two different things");
  const variables = {
    port: variable("1", "AGENT_PORT"),
    origin: variable("http://a:1", "AGENT_ORIGIN"),
  };
  expect(() => connect(variables)).toThrow("AGENT_PORT and AGENT_ORIGIN");
});

test("a flag wins over the environment, also port over origin and origin over port", () => {
  expect(connect({ origin: variable("http://a:1") }).origin.label).toBe("http://localhost:4000");
  const byUrl = connect({ port: variable("4000"), origin: flag("http://a:1") });
  expect(byUrl.origin.label).toBe("http://a:1");
});

test("an origin may be https, IPv6 or a Unix socket", () => {
  const { port: _port, ...rest } = least;
  const origin = (text: string): unknown => connectConfig({ ...rest, origin: flag(text) }).origin;
  expect(origin("https://a.example")).toMatchObject({ label: "https://a.example" });
  expect(origin("http://[::1]:4000/")).toMatchObject({ label: "http://[::1]:4000" });
  expect(origin("unix:/run/app.sock")).toMatchObject({ socketPath: "/run/app.sock" });
  expect(origin("unix:///run/app.sock")).toMatchObject({ socketPath: "/run/app.sock" });
});

test("only addresses of this machine count as loopback", () => {
  const yes = ["http://localhost", "http://a.localhost", "http://127.0.0.1", "http://[::1]:1"];
  const no = ["http://127.0.0.1.example", "http://localhost.example", "http://10.0.0.1"];
  expect(yes.map((url) => isLoopback(new URL(url)))).toEqual(yes.map(() => true));
  expect(no.map((url) => isLoopback(new URL(url)))).toEqual(no.map(() => false));
});

test("the edge listens on this machine's port 8787 for everybody, unless told otherwise", () => {
  expect(edgeConfig({})).toEqual({
    host: "127.0.0.1",
    port: 8787,
    domain: undefined,
    dataDirectory: undefined,
    visitors: "open",
    graceMs: 15_000,
    drainMs: 10_000,
    tls: undefined,
    shards: 1,
  });
  const given = { port: flag("0"), visitors: flag("token"), domain: flag("Localhost") };
  expect(edgeConfig(given)).toMatchObject({ port: 0, visitors: "token", domain: "localhost" });
  expect(() => edgeConfig({ visitors: flag("all", "--visitors") })).toThrow(
    '--visitors must be open or token, not "all".',
  );
});

test.each([
  ["0s", 0],
  ["2m", 120_000],
  ["1h", 3_600_000],
])("the edge keeps what is in flight for --grace %s", (text, graceMs) => {
  expect(edgeConfig({ grace: flag(text) })).toMatchObject({ graceMs });
});

test.each(["61m", "-1s", "long"])("an edge's --grace of %s is refused", (text) => {
  const given = { grace: variable(text, "AGENT_EDGE_GRACE") };
  expect(() => edgeConfig(given)).toThrow(
    `AGENT_EDGE_GRACE must be a time like 15s or 2m, at most 1h, not "${text}".`,
  );
});

test("an edge speaks https only with both a certificate and its key", () => {
  const [tlsCert, tlsKey] = [
    flag("cert.pem", "--tls-cert"),
    variable("key.pem", "AGENT_EDGE_TLS_KEY"),
  ];
  expect(edgeConfig({ tlsCert, tlsKey }).tls).toEqual({ cert: tlsCert, key: tlsKey });
  expect(() => edgeConfig({ tlsCert })).toThrow("--tls-cert is of no use without --tls-key");
  expect(() => edgeConfig({ tlsKey })).toThrow(
    "AGENT_EDGE_TLS_KEY is of no use without --tls-cert",
  );
});

test("an edge spreads each service over as many objects as --shards says", () => {
  expect(edgeConfig({ shards: flag("1000") })).toMatchObject({ shards: 1000 });
  for (const text of ["0", "1001", "1.5", "shop=2"]) {
    expect(() => edgeConfig({ shards: variable(text, "AGENT_EDGE_SHARDS") })).toThrow(
      `AGENT_EDGE_SHARDS must be a whole number from 1 to 1000, not "${text}".`,
    );
  }
});

test("an agent takes over only when it is told to, and a variable may say no", () => {
  const replaces = (replace?: Given): boolean =>
    connect(replace === undefined ? {} : { replace }).replace;
  expect(replaces()).toBe(false);
  expect(replaces(flag("true"))).toBe(true);
  for (const text of ["1", "true", "yes"]) expect(replaces(variable(text))).toBe(true);
  for (const text of ["0", "false", "no", "OFF"]) expect(replaces(variable(text))).toBe(false);
});

test("a token is for an agent and 90 days, unless told otherwise", () => {
  expect(tokenConfig({ service: flag("shop") })).toEqual({
    service: "shop",
    role: "agent",
    expiresMs: 90 * 86_400_000,
  });
  expect(() => tokenConfig({})).toThrow("--service is missing");
  expect(() => tokenConfig({ service: flag("shop"), role: flag("root", "--role") })).toThrow(
    '--role must be agent or visitor, not "root".',
  );
  expect(() => tokenConfig({ service: flag("shop"), expires: flag("0s", "--expires") })).toThrow(
    "--expires must be",
  );
});

test("what a redirect, a certificate and a path mean is as safe and as plain as it can be, unless said otherwise", () => {
  expect(connectConfig(least)).toMatchObject({
    basePath: "",
    rewriteLocation: true,
    publicName: true,
    insecureOrigin: false,
    originCa: undefined,
    replace: false,
  });
  const given = {
    path: flag("/graphql"),
    rewriteLocation: variable("0"),
    publicName: variable("no"),
    insecureOrigin: variable("Yes"),
    originCa: flag("ca.pem"),
    replace: variable("off"),
  };
  expect(connect(given)).toMatchObject({
    basePath: "/graphql",
    rewriteLocation: false,
    publicName: false,
    insecureOrigin: true,
    originCa: "ca.pem",
    replace: false,
  });
});

test("the root as a base path is none", () => {
  expect(connect({ path: flag("/") }).basePath).toBe("");
});

test("h2c:// is HTTP/2 without TLS", () => {
  const { origin } = connectConfig({
    ...least,
    port: undefined,
    origin: flag("h2c://10.0.0.5:50051"),
  });
  expect(origin).toMatchObject({ http2: true, label: "h2c://10.0.0.5:50051" });
  expect(origin.url.href).toBe("http://10.0.0.5:50051/");
});

test("a port of the environment wins over an origin of a file, and a flag over both", () => {
  const inFile: Given = { text: "http://10.0.0.5", from: "file", flag: false, file: true };
  const of = (given: GivenValues): string => connect(given).origin.label;
  expect(of({ port: variable("4001"), origin: inFile })).toBe("http://localhost:4001");
  expect(of({ port: { ...inFile, text: "1" }, origin: flag("http://10.0.0.6") })).toBe(
    "http://10.0.0.6",
  );
  expect(() => of({ port: { ...inFile, text: "1" }, origin: inFile })).toThrow(
    /two different things/,
  );
});
