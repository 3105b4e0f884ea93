/** What `agent doctor` says of the server behind the tunnel, each fault a real one. */
import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { authority, certificate } from "../support/certificate.ts";
import { diagnose, type Diagnosis, type Patient } from "./diagnose.ts";

const own = authority("My Own CA");
const issued = certificate({ names: ["localhost"], issuer: own });
let directory = "";
const servers: Server[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-unit-"));
  await writeFile(join(directory, "own.pem"), own.cert);
});
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close();
    if ("closeAllConnections" in server) (server.closeAllConnections as () => void)();
  }
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const hello: RequestListener = (_request, response) => response.end("hello");

/** Whatever becomes of the edge: nobody listens there. */
async function look(patient: Omit<Patient, "edge">): Promise<Diagnosis> {
  const found = await diagnose({ edge: "http://127.0.0.1:1", ...patient });
  expect(found.finding("tcp").status).toBe("fail");
  return found;
}

test("one that answers is told with its time and its HTTP", async () => {
  const port = await listen(createHttpServer(hello));
  const found = await look({ port });
  expect(found.of("origin")).toMatch(/^ok: HEAD \/ answered with 200 in [\d.]+ ms, HTTP\/1\.1$/);
});

test("it is asked where the tunnel leads, by the Host that it gets", async () => {
  const asked: (string | undefined)[] = [];
  const port = await listen(
    createHttpServer(({ method, url, headers }, response) => {
      asked.push(method, url, headers.host);
      response.end();
    }),
  );
  await look({ port, flags: { path: "/graphql", hostHeader: "shop.test" } });
  expect(asked).toEqual(["HEAD", "/graphql", "shop.test"]);
});

test("one that does not know HEAD is asked with GET", async () => {
  const port = await listen(
    createHttpServer(({ method }, response) => {
      response.writeHead(method === "HEAD" ? 405 : 200).end();
    }),
  );
  expect((await look({ port })).of("origin")).toMatch(/^ok: GET \/ answered with 200/);
});

test("one that is not there is named, with what to do", async () => {
  const port = await listen(createServer());
  servers.pop()?.close();
  const found = await look({ port });
  expect(found.of("origin")).toContain(
    `→ Start your server, or correct --port or --origin: nothing listens at http://localhost:${port}.`,
  );
  const socket = await look({ origin: `unix:${directory}/none.sock` });
  expect(socket.of("origin")).toMatch(
    /^fail: connect ENOENT .* → Start your server, or correct --origin/,
  );
});

test("one that fails is a warning: the tunnel works", async () => {
  const port = await listen(createHttpServer((_, response) => response.writeHead(500).end()));
  expect((await look({ port })).of("origin")).toMatch(
    /^warn: HEAD \/ answered with 500 .* → The server is there and fails/,
  );
});

test("one that speaks something else is said to", async () => {
  const port = await listen(
    createServer((socket) => socket.on("error", () => {}).end("SSH-2.0\r\n\r\n")),
  );
  expect((await look({ port })).of("origin")).toMatch(
    /^fail: .* → What listens at http:\/\/localhost:\d+ does not answer HTTP\/1\.1\. Does it want https/,
  );
});

test(
  "one that takes connections and says nothing is waited for, but not for ever",
  { timeout: 40_000 },
  async () => {
    const port = await listen(createServer((socket) => socket.on("error", () => {})));
    expect((await look({ port })).of("origin")).toMatch(/^warn: no answer within 10 s/);
  },
);

test("one over TLS is believed by its authority, by anyone's word, or not", async () => {
  const port = await listen(createHttpsServer(issued, hello));
  const origin = `https://localhost:${port}`;
  expect((await look({ origin })).of("origin")).toMatch(
    /^fail: its certificate's authority is not trusted \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\) → If it is the right server, --origin-ca <PEM file> says whom to believe/,
  );
  const by = { originCa: join(directory, "own.pem") };
  expect((await look({ origin, flags: by })).of("origin")).toMatch(
    /^ok: .* HTTP\/1\.1 over TLSv1\.3$/,
  );
  const anyone = await look({ origin, flags: { insecureOrigin: "true" } });
  expect(anyone.of("origin")).toMatch(
    /^warn: .*believed only because of --insecure-origin .* → --origin-ca/,
  );
});

test("https:// to one that speaks none is explained", async () => {
  const port = await listen(createHttpServer(hello));
  const found = await look({ origin: `https://localhost:${port}` });
  expect(found.of("origin")).toMatch(/^fail: it does not speak TLS → Is it http:\/\/ instead/);
});

test("one that speaks HTTP/2 alone is spoken to so", async () => {
  const port = await listen(createHttp2Server((_request, response) => response.end("hello")));
  expect((await look({ origin: `h2c://localhost:${port}` })).of("origin")).toMatch(
    /^ok: .*HTTP\/2$/,
  );
});

test("one that was not named is left out, and nothing fails for it", async () => {
  const found = await look({});
  expect(found.of("origin")).toBe("skip: not given: --port or --origin");
});
