import { createServer, type IncomingMessage, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Detail, List, Status, Stream } from "../../../agent/inspector/api.ts";
import { Inspector } from "../../../agent/inspector/inspector.ts";
import { Origin } from "../../support/origin.ts";
import { poll } from "../../support/until.ts";
import { readAll } from "../pair.ts";
import { TunnelEnd } from "../tunnel-end.ts";

let inspector: Inspector;
let origin: Origin;
let end: TunnelEnd;

beforeEach(async () => {
  inspector = await Inspector.start(0);
  origin = await Origin.start();
  const seat = inspector.seat({
    service: "shop",
    publicUrl: "http://edge.test/send/shop/",
    origin: `http://localhost:${origin.port}`,
    concurrency: 8,
    settings: async () => [{ name: "port", value: "4000", from: "--port" }],
  });
  end = await TunnelEnd.to(origin.port, {}, seat.watch);
  seat.serves((exchange, own) => end.serve.accept(exchange, own));
});

afterEach(async () => {
  await end.stop();
  await origin.stop();
  await inspector.close();
});

const token = (): string => new URL(inspector.url).searchParams.get("t") ?? "";

interface Asked {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Without the token. */
  readonly stranger?: boolean;
}

function ask(
  path: string,
  { method = "GET", headers = {}, body, stranger }: Ask = {},
): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(
      {
        host: "127.0.0.1",
        port: inspector.port,
        method,
        path,
        headers: { ...(stranger ? {} : { "sluice-inspector-token": token() }), ...headers },
      },
      (answer) => {
        let text = "";
        answer.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
        answer.on("end", () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }),
        );
      },
    );
    asked.on("error", reject).end(body);
  });
}

async function json<T>(path: string): Promise<T> {
  const { status, body } = await ask(path);
  expect(status, body).toBe(200);
  return JSON.parse(Buffer.from(body, "latin1").toString("utf8")) as T;
}

const rows = async (): Promise<List["rows"]> => (await json<List>("/api/exchanges")).rows;

/** One request through the tunnel, to its end. @returns its id in the inspector */
async function visit(head: Parameters<TunnelEnd["ask"]>[0]): Promise<number> {
  const exchange = end.ask(head);
  await exchange.answer();
  await readAll(exchange);
  return poll(async () => {
    const [row] = await rows();
    return row?.phase === "over" ? row.id : undefined;
  }, "the exchange in the list");
}

describe("the door", () => {
  test("opens for the printed URL, which a cookie replaces that no script can read", async () => {
    const entered = await ask(`/?t=${token()}`, { stranger: true });
    expect(entered.status).toBe(200);
    expect(entered.body).toContain('content="0;url=/"');
    const [cookie = ""] = entered.headers["set-cookie"] ?? [];
    expect(cookie).toMatch(/; Path=\/; HttpOnly; SameSite=Strict$/);
    const [pair = ""] = cookie.split(";");
    const page = await ask("/", { stranger: true, headers: { cookie: `other=1; ${pair}` } });
    expect(page.status).toBe(200);
    expect(page.headers["content-type"]).toMatch(/^text\/html/);
  });

  test("opens though another server has set a cookie of the same name", async () => {
    const cookie = `sluice-inspector-${inspector.port}=`;
    const headers = { cookie: `${cookie}x; ${cookie}${token()}; ${cookie}y` };
    expect((await ask("/api/status", { stranger: true, headers })).status).toBe(200);
  });

  test.each([
    ["no token", {}],
    ["a wrong token", { "sluice-inspector-token": "x" }],
    ["a wrong cookie", { cookie: "sluice-inspector-1=x; a" }],
  ])("is shut for whoever comes with %s", async (_what, headers) => {
    for (const path of [
      "/",
      "/app.js",
      "/api/exchanges",
      "/api/live",
      "/?t=wrong",
      "/api/status?t=x",
    ]) {
      const answer = await ask(path, { stranger: true, headers });
      expect([path, answer.status]).toEqual([path, 401]);
    }
  });

  test.each([
    ["the name of a page that was made to resolve here", { host: "evil.test:4040" }, 421],
    ["a name without our port", { host: "127.0.0.1" }, 421],
    ["another page's origin", { origin: "http://evil.test" }, 403],
    ["a sandboxed page's origin", { origin: "null" }, 403],
    ["a page on another port of this machine", { origin: "http://127.0.0.1:1" }, 403],
    ["a request that another site makes", { "sec-fetch-site": "cross-site" }, 403],
  ])("is shut for %s, even with the token", async (_what, headers, status) => {
    const answer = await ask("/api/exchanges", { headers });
    expect(answer.status).toBe(status);
    expect(answer.body).not.toContain("rows");
    for (const each of ["/", `/?t=${token()}`]) {
      const entered = await ask(each, { stranger: true, headers });
      expect(entered.status).toBe(status);
      expect(entered.headers["set-cookie"]).toBeUndefined();
    }
  });

  test("is open by the name localhost too", async () => {
    const host = `localhost:${inspector.port}`;
    const answer = await ask("/api/status", { headers: { host, origin: `http://${host}` } });
    expect(answer.status).toBe(200);
  });

  test("whatever is asked, the answer lets no other page, script or frame in", async () => {
    for (const path of ["/", "/api/status", "/nothing", "/api/nothing"]) {
      for (const stranger of [true, false]) {
        const { headers } = await ask(path, { stranger });
        expect(headers["content-security-policy"]).toBe(
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
        );
        expect(headers).toMatchObject({
          "x-content-type-options": "nosniff",
          "referrer-policy": "no-referrer",
          "cache-control": "no-store",
        });
        expect(headers["access-control-allow-origin"]).toBeUndefined();
      }
    }
  });

  test("is at 127.0.0.1, at the next port when one is taken", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    const next = await Inspector.start(port);
    try {
      expect(next.port).not.toBe(port);
      expect(next.url).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:${next.port}/\\?t=[\\w-]{22}$`));
    } finally {
      await next.close();
      await new Promise((resolve) => taken.close(resolve));
    }
  });
});

describe("what is asked of it", () => {
  test("secrets are sent only to who asks for them", async () => {
    origin.on("/", (received) => {
      received.response.setHeader("Set-Cookie", "basket=hidden-1");
      received.response.end("x");
    });
    const id = await visit({
      headers: [
        "Authorization",
        "Bearer hidden-2",
        "X-Api-Key",
        "hidden-3",
        "Private-Token",
        "hidden-4",
      ],
    });
    for (const path of [
      `/api/exchanges/${id}`,
      "/api/har",
      `/api/har?id=${id}`,
      `/api/exchanges/${id}/curl`,
      "/api/exchanges",
    ]) {
      const masked = await ask(path);
      expect(masked.status).toBe(200);
      expect(masked.body).not.toContain("hidden");
    }
    const { request, response } = await json<Detail>(`/api/exchanges/${id}?reveal=1`);
    expect(request.fields).toContainEqual({
      name: "Authorization",
      value: "Bearer hidden-2",
      secret: true,
    });
    expect(response?.fields).toContainEqual({
      name: "Set-Cookie",
      value: "basket=hidden-1",
      secret: true,
    });
    expect((await ask(`/api/exchanges/${id}/curl?reveal=1`)).body).toContain("hidden-3");
  });

  test("bodies are downloads, whatever their type", async () => {
    origin.on("/", (received) => {
      received.response.setHeader("content-type", "text/html");
      received.response.end("<script>alert(1)</script>");
    });
    const id = await visit({ method: "POST", body: "<b>" });
    for (const part of ["request-body", "response-body"]) {
      const { headers } = await ask(`/api/exchanges/${id}/${part}`);
      expect(headers["content-type"]).toBe("application/octet-stream");
      expect(headers["content-disposition"]).toMatch(/^attachment/);
    }
  });

  test("a body with an encoding that no field can name is shown as it came", async () => {
    origin.on("/", ({ response }) => {
      response.setHeader("content-encoding", Buffer.from("gz\u0130p").toString("latin1"));
      response.end("tea");
    });
    const id = await visit({});
    const { status, headers, body } = await ask(`/api/exchanges/${id}/response-body?decoded=1`);
    expect({ status, body }).toEqual({ status: 200, body: "tea" });
    expect(headers["sluice-inspector-note"]).toMatch(/^it is encoded with gz\?\?p,/);
  });

  test("what is unknown is not found, and nothing breaks", async () => {
    for (const path of [
      "/api/exchanges/999",
      "/api/exchanges/x",
      "/api/exchanges/1/2/3",
      "/../api.ts",
      "/api",
      "//",
    ]) {
      expect((await ask(path)).status).toBe(404);
    }
    expect((await ask("/", { method: "POST" })).status).toBe(405);
  });

  test("status tells of connections and of where configuration comes from", async () => {
    await visit({});
    const status = await json<Status>("/api/status");
    expect(status.requests).toMatchObject({ seen: 1, open: 0, failed: 0 });
    expect(status.total.count).toBe(1);
    expect(status.services[0]).toMatchObject({
      service: "shop",
      settings: [{ name: "port", value: "4000", from: "--port" }],
      connections: [{ state: "connecting" }],
    });
  });

  test("a stream is told of in pieces while it runs", async () => {
    origin.on("/", (received) => {
      received.response.writeHead(200, { "content-type": "text/event-stream" });
      received.response.write("data: one\n\n");
    });
    const exchange = end.ask();
    await exchange.answer();
    await exchange.incoming.ready();
    const first = await json<Stream>("/api/exchanges/1/stream");
    expect(first.messages).toMatchObject([{ kind: "event", text: "one", direction: "out" }]);
    expect(first.row).toMatchObject({ kind: "events", phase: "answering" });
    origin.log[0]?.response.write("data: two\n\n");
    exchange.incoming.take();
    await exchange.incoming.ready();
    const second = await json<Stream>("/api/exchanges/1/stream?messages=1&chunks=1");
    expect(second.messages).toMatchObject([{ n: 1, text: "two" }]);
    expect(second.chunks).toMatchObject([{ n: 1, bytes: 11 }]);
    exchange.cancel("cancelled");
    await end.report();
    expect((await rows())[0]).toMatchObject({ phase: "over", says: "the visitor went away" });
  });
});

describe("a replay", () => {
  const replay = (id: number, edits?: object): Promise<Asked> =>
    ask(`/api/exchanges/${id}/replay`, {
      method: "POST",
      ...(edits === undefined ? {} : { body: JSON.stringify(edits) }),
    });

  test("reaches the origin as it was, with a mark that no visitor can send", async () => {
    const body = "grüße\0".repeat(500);
    const headers = [
      "X-One",
      "1",
      "x-one",
      "2",
      "Authorization",
      "Bearer tea",
      "sluice-replay-of",
      "9",
    ];
    const id = await visit({ method: "PUT", path: "/a?b=c", headers, body });
    const answer = await replay(id);
    expect(answer.status, answer.body).toBe(201);
    const { id: again } = JSON.parse(answer.body) as { readonly id: number };
    await origin.arrived(2);
    const [first, second] = origin.log;
    expect(first?.request.headers["sluice-replay-of"]).toBeUndefined();
    expect(second?.request.headers["sluice-replay-of"]).toBe(String(id));
    const without = second?.fields.filter(([name]) => !name.startsWith("sluice-"));
    expect(without).toEqual(first?.fields.filter(([name]) => !name.startsWith("sluice-")));
    expect([second?.method, second?.target]).toEqual(["PUT", "/a?b=c"]);
    expect((await second?.body())?.toString()).toBe(body);
    await end.report(1);
    const detail = await json<Detail>(`/api/exchanges/${id}`);
    expect(detail.replays).toEqual([again]);
    expect((await json<Detail>(`/api/exchanges/${again}`)).row).toMatchObject({
      replayOf: id,
      status: 200,
    });
  });

  test("can be changed, and keeps the secrets that were not", async () => {
    const id = await visit({ method: "POST", headers: ["cookie", "a=tea", "x", "1"], body: "old" });
    const answer = await replay(id, {
      method: "PATCH",
      path: "/new",
      fields: [
        ["Cookie", "••••"],
        ["y", "2"],
      ],
      body: "new body",
    });
    expect(answer.status, answer.body).toBe(201);
    await origin.arrived(2);
    const changed = origin.log[1];
    expect([changed?.method, changed?.target]).toEqual(["PATCH", "/new"]);
    expect(changed?.request.headers).toMatchObject({ cookie: "a=tea", y: "2" });
    expect(changed?.request.headers["x"]).toBeUndefined();
    expect((await changed?.body())?.toString()).toBe("new body");
  });

  test("is refused with the reason when the body is not all there, and possible with another one", async () => {
    const id = await visit({ method: "POST", body: "x".repeat(100_000) });
    const refused = await replay(id);
    expect(refused.status).toBe(409);
    expect(refused.body).toContain("only 65536 of the 100000 bytes of its body were kept");
    expect((await json<Detail>(`/api/exchanges/${id}`)).noReplay).toContain("only 65536");
    expect((await replay(id, { body: "y" })).status).toBe(201);
    await origin.arrived(2);
    expect((await origin.log[1]?.body())?.toString()).toBe("y");
  });

  test("of a WebSocket is refused", async () => {
    const exchange = end.ask({ length: "socket" });
    await exchange.answer();
    const refused = await replay(1, { body: "" });
    expect(refused.status).toBe(409);
    expect(refused.body).toContain("WebSocket");
    exchange.cancel("cancelled");
  });

  test("that is no legal request is refused, and so are changes that nobody knows", async () => {
    const id = await visit({});
    for (const [edits, status] of [
      [{ path: "no slash" }, 409],
      [{ method: "CONNECT" }, 409],
      [{ fields: [["a\nb", "c"]] }, 409],
      [{ fields: [["a", "b\r\nc: d"]] }, 409],
      [{ wrong: 1 }, 400],
    ] as const) {
      expect([edits, (await replay(id, edits)).status]).toEqual([edits, status]);
    }
    expect(origin.log).toHaveLength(1);
  });

  test("that never ends can be stopped", async () => {
    origin.on("/", ({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: tea\n\n");
    });
    const exchange = end.ask();
    await exchange.answer();
    const answer = await replay(1);
    const { id } = JSON.parse(answer.body) as { readonly id: number };
    await poll(
      async () => (await rows()).find((row) => row.id === id)?.phase === "answering",
      "it runs",
    );
    await ask(`/api/exchanges/${id}/stop`, { method: "POST" });
    await origin.log[1]?.gone();
    exchange.cancel("cancelled");
  });

  test("that never ends can still be stopped after all that is over was forgotten, and after others", async () => {
    origin.on("/endless", ({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: tea\n\n");
    });
    const exchange = end.ask({ path: "/endless" });
    await exchange.answer();
    const { id } = JSON.parse((await replay(1)).body) as { readonly id: number };
    await origin.arrived(2);
    exchange.cancel("cancelled");
    await end.report();
    const over = await visit({ path: "/over" });
    await ask("/api/exchanges", { method: "DELETE" });
    expect((await rows()).map((row) => [row.id, row.phase])).toEqual([[id, "answering"]]);
    expect((await ask(`/api/exchanges/${over}`)).status).toBe(404);
    const { body } = await replay(id);
    const { id: second } = JSON.parse(body) as { readonly id: number };
    await ask(`/api/exchanges/${id}/stop`, { method: "POST" });
    await origin.log[1]?.gone();
    await ask(`/api/exchanges/${second}/stop`, { method: "POST" });
    await poll(
      async () => (await json<List>("/api/exchanges")).open === 0,
      "that nothing is under way",
    );
  });

  test("needs the token and our own page, as everything does", async () => {
    const id = await visit({});
    const path = `/api/exchanges/${id}/replay`;
    expect((await ask(path, { method: "POST", stranger: true })).status).toBe(401);
    expect(
      (await ask(path, { method: "POST", headers: { origin: "http://evil.test" } })).status,
    ).toBe(403);
    expect(origin.log).toHaveLength(1);
  });
});

describe("who looks", () => {
  /** A browser's connection for live news. */
  function look(): Promise<{ readonly answer: IncomingMessage; text(): string; leave(): void }> {
    return new Promise((resolve, reject) => {
      const asked = httpRequest(
        {
          host: "127.0.0.1",
          port: inspector.port,
          path: "/api/live",
          headers: { "sluice-inspector-token": token() },
        },
        (answer) => {
          let text = "";
          answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          resolve({ answer, text: () => text, leave: () => asked.destroy() });
        },
      );
      asked.on("error", reject).end();
      asked.on("close", () => asked.off("error", reject).on("error", () => {}));
    });
  }

  test("is told what is new", async () => {
    const viewer = await look();
    await visit({ path: "/fresh" });
    await poll(() => viewer.text().includes('"path":"/fresh"'), "the row");
    await ask("/api/exchanges", { method: "DELETE" });
    await poll(() => viewer.text().includes("event: cleared"), "that all was forgotten");
    expect(await rows()).toEqual([]);
    viewer.leave();
  });
});
