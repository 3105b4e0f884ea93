/** Origins of every kind behind one agent, from a configuration file, as their visitors see them. */
import { writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttp2Server, type Http2Server } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, ListenOptions, Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authority, certificate } from "../support/certificate.ts";
import { Program } from "../support/program.ts";
import { values, Visitor } from "../support/raw-http.ts";
import { Edge } from "../support/tunnel.ts";

const START_MS = 90_000;
const ours = authority();
const servers: (Server | Http2Server)[] = [];
let edge: Edge;
let agent: Program;
let restarting: Server;
let restartingPort = 0;

const says: RequestListener = (request, response) => {
  response.setHeader("location", "/graphql/elsewhere");
  response.end(`${request.method} ${request.url}`);
};

async function listen(server: Server | Http2Server, where: ListenOptions): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(where, resolve));
  const address = server.address() as AddressInfo | string;
  return typeof address === "string" ? 0 : address.port;
}

const anyPort = { host: "127.0.0.1", port: 0 };

beforeAll(async () => {
  edge = await Edge.start();
  const { directory } = edge;
  const socket = join(directory, "origin.sock");
  await writeFile(join(directory, "ca.pem"), ours.cert);
  const known = await listen(createHttpsServer(certificate({ issuer: ours }), says), anyPort);
  const unknown = await listen(createHttpsServer(certificate(), says), anyPort);
  const h2c = createHttp2Server((request, response) => response.end(`h2 ${request.url}`));
  const services = {
    known: { origin: `https://localhost:${known}`, originCa: "ca.pem" },
    careless: { origin: `https://localhost:${unknown}`, insecureOrigin: true },
    strict: { origin: `https://localhost:${unknown}` },
    h2c: { origin: `h2c://localhost:${await listen(h2c, anyPort)}` },
    unix: { origin: `unix:${socket}` },
    other: {
      origin: `http://127.0.0.2:${await listen(createHttpServer(says), { ...anyPort, host: "127.0.0.2" })}`,
    },
    graphql: { port: await listen(createHttpServer(says), anyPort), path: "/graphql" },
    restarting: { port: 0 },
  };
  await listen(createHttpServer(says), { path: socket });
  restarting = createHttpServer(says);
  restartingPort = await listen(restarting, anyPort);
  services.restarting.port = restartingPort;
  const withTokens: Record<string, object> = {};
  for (const [service, values] of Object.entries(services)) {
    const tokenFile = `${service}.token`;
    await writeFile(join(directory, tokenFile), await edge.token({ service }), { mode: 0o600 });
    withTokens[service] = { ...values, tokenFile };
  }
  const file = join(directory, "sluice.json");
  await writeFile(file, JSON.stringify({ edge: edge.url, services: withTokens }));
  agent = Program.agent(["connect", "--config", file, "--json"]);
  for (const service of Object.keys(services)) {
    await agent.event("connected", (event) => event["service"] === service);
  }
}, START_MS);

afterAll(async () => {
  await agent?.stop();
  for (const server of servers) server.close();
  await edge?.stop();
}, START_MS);

test.each([
  ["known", "/a?b=c", "GET /a?b=c"],
  ["careless", "/a?b=c", "GET /a?b=c"],
  ["h2c", "/a?b=c", "h2 /a?b=c"],
  ["unix", "/a?b=c", "GET /a?b=c"],
  ["other", "/a?b=c", "GET /a?b=c"],
  ["graphql", "/", "GET /graphql"],
  ["graphql", "/?query=%7Ba%7D", "GET /graphql?query=%7Ba%7D"],
  ["graphql", "/schema", "GET /graphql/schema"],
])("the origin %s gets %s as %s", async (service, target, expected) => {
  const answer = await Visitor.ask(edge.place(service), { target });
  expect([answer.status, answer.body.toString()]).toEqual([200, expected]);
});

test("a certificate that nobody vouches for is a 502 to the visitor, and the fix to who reads the log", async () => {
  const answer = await Visitor.ask(edge.place("strict"));
  expect(answer.status).toBe(502);
  expect(values(answer.fields, "sluice-error")).toEqual(["origin-refused"]);
  const { reason } = await agent.event("request", (event) => event["service"] === "strict");
  expect(reason).toMatch(/self-signed.*--origin-ca .*--insecure-origin/);
  await agent.said(/warning: --insecure-origin/);
});

test("a redirect below the base path is one below the prefix", async () => {
  const answer = await Visitor.ask(edge.place("graphql"));
  expect(values(answer.fields, "location")).toEqual(["/send/graphql/elsewhere"]);
});

test("a target that leads out of the base path is refused and never reaches the origin", async () => {
  const answer = await Visitor.ask(edge.place("graphql"), { target: "/%2e%2e/admin" });
  expect(answer.status).toBe(400);
  expect(values(answer.fields, "sluice-error")).toEqual(["bad-request"]);
});

describe("an origin that restarts", () => {
  test("loses no request of those that come meanwhile", async () => {
    const place = edge.place("restarting");
    expect((await Visitor.ask(place)).status).toBe(200);
    (restarting as ReturnType<typeof createHttpServer>).closeAllConnections();
    await new Promise((resolve) => restarting.close(resolve));
    const asked = Array.from({ length: 10 }, (_, i) => Visitor.ask(place, { target: `/${i}` }));
    // All of them have been refused once when a later one, of another tunnel, has come and gone.
    await Visitor.ask(edge.place("known"));
    await listen(createHttpServer(says), { host: "127.0.0.1", port: restartingPort });
    const answers = await Promise.all(asked);
    expect(answers.map(({ body }) => body.toString())).toEqual(asked.map((_, i) => `GET /${i}`));
  });
});
