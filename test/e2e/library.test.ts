/** `connect()` against a real edge: what a function and a server without a port do with real visitors. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { connect } from "../../agent/library/connect.ts";
import type { Origin } from "../../agent/library/options.ts";
import type { Tunnel } from "../../agent/library/tunnel.ts";
import { Edge } from "../support/tunnel.ts";
import { poll, within } from "../support/until.ts";

let edge: Edge;
const tunnels: Tunnel[] = [];

beforeAll(async () => {
  edge = await Edge.start();
}, 60_000);

afterAll(async () => {
  await Promise.all(tunnels.map((tunnel) => tunnel.close({ graceMs: 0 })));
  await edge.stop();
});

async function open(service: string, origin: Origin): Promise<Tunnel> {
  const token = await edge.token({ service });
  const tunnel = await within(connect({ edge: edge.url, service, token, origin }), "a tunnel");
  tunnels.push(tunnel);
  return tunnel;
}

test("a function streams both ways, and an upload of 20 MiB comes back byte for byte", async () => {
  const { url } = await open("echo", (request) => new Response(request.body));
  const sent = Buffer.alloc(20 * 1024 * 1024, "all work and no play. ");
  const answer = await fetch(url, { method: "POST", body: sent });
  expect(Buffer.from(await answer.arrayBuffer()).equals(sent)).toBe(true);
});

test("cookies, redirects and empty answers of a function reach the visitor as they are", async () => {
  const { url } = await open("plain", (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/nothing") return new Response(null, { status: 204 });
    if (pathname === "/unchanged") return new Response(null, { status: 304 });
    const headers = new Headers({ location: new URL("/there", request.url).href });
    headers.append("set-cookie", "a=1; Path=/");
    headers.append("set-cookie", "b=2");
    return new Response(null, { status: 303, headers });
  });
  const moved = await fetch(url, { redirect: "manual" });
  expect(moved.status).toBe(303);
  expect(moved.headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2"]);
  expect(moved.headers.get("location")).toBe("/send/plain/there");
  expect((await fetch(`${url}nothing`)).status).toBe(204);
  expect((await fetch(`${url}unchanged`)).status).toBe(304);
});

test("what a function throws is a 502 that names the code and nothing else", async () => {
  const { url } = await open("throws", () => {
    throw new Error("a secret of the database");
  });
  const answer = await fetch(url);
  expect(answer.status).toBe(502);
  expect(answer.headers.get("sluice-error")).toBe("origin-reset");
  expect(await answer.text()).not.toContain("secret");
});

async function* ticks(): AsyncGenerator<Uint8Array> {
  for (;;) {
    yield Buffer.from("tick\n");
    await sleep(50);
  }
}

test("a visitor who leaves ends what the function makes for them", async () => {
  let ended = false;
  const { url } = await open("events", ({ signal }) => {
    signal.addEventListener("abort", () => (ended = true));
    return new Response(ReadableStream.from(ticks()));
  });
  const leave = new AbortController();
  const answer = await fetch(url, { signal: leave.signal });
  const reader = answer.body?.getReader();
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("tick\n");
  // The runtime learns of it at the next tick.
  leave.abort();
  await poll(() => ended, "the abort at the function");
});

test("WebSockets of a server without a port work both ways, and are refused where a function answers", async () => {
  const server: Server = createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (ws, request) => {
    ws.on("message", (data, binary) => ws.send(data, { binary }));
    ws.send(`at ${request.url}`);
  });
  const { url } = await open("sockets", server);
  const ws = new WebSocket(`${url.replace(/^http/, "ws")}chat`);
  const first = once(ws, "message");
  expect(String((await within(first, "the greeting"))[0])).toBe("at /chat");
  ws.send("hello");
  expect(String((await within(once(ws, "message"), "the echo"))[0])).toBe("hello");
  ws.close(4000, "enough");
  expect((await within(once(ws, "close"), "the end"))[0]).toBe(4000);
  sockets.close();

  const { url: plain } = await open("no-sockets", () => new Response("no"));
  const refused = new WebSocket(plain.replace(/^http/, "ws"));
  refused.on("error", () => {});
  const [, answer] = await within(once(refused, "unexpected-response"), "the refusal");
  expect(answer).toMatchObject({ statusCode: 502, headers: { "sluice-error": "origin-invalid" } });
  refused.terminate();
});
