import { request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DemoOrigin, startDemoOrigin } from "../../agent/demo/origin.ts";

let origin: DemoOrigin | undefined;
let url = "";
beforeAll(async () => {
  origin = await startDemoOrigin();
  url = `http://127.0.0.1:${origin.port}`;
});
afterAll(() => origin?.stop());

test("the page says back the id that it was asked with, by query or header", async () => {
  expect(await (await fetch(`${url}/?id=7`)).json()).toMatchObject({ id: "7", path: "/?id=7" });
  const headers = { "x-request-id": "8" };
  expect(await (await fetch(url, { headers })).json()).toMatchObject({ id: "8" });
});

test("a download has the length that was asked for, 1 GiB without", async () => {
  const small = await fetch(`${url}/download?bytes=100000`);
  expect(small.headers.get("content-length")).toBe("100000");
  expect((await small.arrayBuffer()).byteLength).toBe(100_000);
  const head = await fetch(`${url}/download`, { method: "HEAD" });
  expect(head.headers.get("content-length")).toBe(String(1024 ** 3));
  expect((await fetch(`${url}/download?bytes=x`)).status).toBe(400);
});

test("the event stream begins at once", async () => {
  const response = await fetch(`${url}/events`);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const reader = response.body?.getReader();
  const first = await reader?.read();
  expect(Buffer.from(first?.value ?? []).toString()).toMatch(/^id: 1\nevent: tick\ndata: 20/);
  await reader?.cancel();
});

test("the echo answers before the upload begins, and while it goes on", async () => {
  const { promise, resolve } = Promise.withResolvers<string[]>();
  const heard: string[] = [];
  const upload = request(`${url}/echo`, { method: "POST" }, (response) => {
    upload.write("one");
    response.on("data", (chunk) => {
      heard.push(String(chunk));
      if (heard.length === 1) upload.end("two");
    });
    response.on("end", () => resolve(heard));
  });
  upload.flushHeaders();
  expect(await promise).toEqual(["one", "two"]);
});
