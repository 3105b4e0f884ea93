/**
 * `examples/graphql/` as its README starts it, and GraphQL's own libraries against it: every transport that a GraphQL
 * client knows.
 */
import { createHash, randomBytes } from "node:crypto";
import { auditServer } from "graphql-http";
import { createClient as createSseClient } from "graphql-sse";
import { createClient as createWsClient } from "graphql-ws";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { alive, descendants, procfs } from "../support/memory.ts";
import { Program } from "../support/program.ts";
import { poll } from "../support/until.ts";
import { agrees } from "./ways.ts";

const START_MS = 60_000;
const ways = { direct: "", prefix: "", host: "" };
let example: Program;

beforeAll(async () => {
  const command = ["start", "--prefix", "examples/graphql"];
  example = Program.start("npm", command, { env: { PORT: "0" }, group: true });
  const [, direct = ""] = await example.line(/^GraphQL at (\S+)\/graphql$/, START_MS);
  const [, prefix = ""] = await example.line(/^Through the tunnel at (\S+)\/graphql$/, START_MS);
  const host = `http://api.localhost:${new URL(prefix).port}`;
  Object.assign(ways, { direct, prefix, host });
}, START_MS);

afterAll(async () => {
  if (!example.ended) example.interrupt();
  await example.stop();
});

agrees(
  "graphql-http's audits find what they find directly",
  ways,
  async (base) => {
    const results = await auditServer({ url: `${base}/graphql` });
    return results.map(({ id, name, status }) => ({ id, name, status }));
  },
  (results) => {
    expect(results.length).toBeGreaterThan(50);
    expect(results.filter(({ status }) => status === "error")).toEqual([]);
  },
);

async function ask(url: string, query: string, accept = "application/json"): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept },
    body: JSON.stringify({ query }),
  });
}

agrees(
  "queries and mutations answer, and so does a refused one",
  ways,
  async (base) => {
    const url = `${base}/graphql`;
    const query = await ask(url, "{ product(id: 2) { name } }");
    const mutation = await ask(url, `mutation { order(id: "1", count: 0) { name stock } }`);
    const refused = await ask(url, `mutation { order(id: "2", count: 99) { stock } }`);
    return [query.status, await query.json(), await mutation.json(), await refused.json()];
  },
  ([status, query, mutation, refused]) => {
    expect(status).toBe(200);
    expect(query).toHaveProperty("errors");
    expect(mutation).toEqual({ data: { order: { name: "Teapot", stock: 418 } } });
    expect(refused).toMatchObject({ errors: [{ message: "only 7 are left" }] });
  },
);

agrees(
  "a deferred answer comes part by part, the first before the last is known",
  ways,
  async (base) => {
    const query = `{ product(id: "1") { name ... @defer { review } } }`;
    const answer = await ask(`${base}/graphql`, query, "multipart/mixed");
    const parts: string[] = [];
    const decoder = new TextDecoder();
    for await (const chunk of answer.body ?? []) {
      parts.push(decoder.decode(chunk, { stream: true }));
    }
    return { type: answer.headers.get("content-type"), parts };
  },
  ({ type, parts }) => {
    expect(type).toBe('multipart/mixed; boundary="-"');
    expect(parts[0]).toContain('"name":"Teapot"');
    expect(parts[0]).not.toContain("review");
    expect(parts.slice(1).join("")).toContain("I like my Teapot. 🫖");
  },
);

const file = randomBytes(3_000_000);

agrees(
  "an uploaded file arrives as the bytes that it is",
  ways,
  async (base) => {
    const form = new FormData();
    const query = "mutation ($file: Upload!) { upload(file: $file) { name bytes sha256 } }";
    form.set("operations", JSON.stringify({ query, variables: { file: null } }));
    form.set("map", JSON.stringify({ 0: ["variables.file"] }));
    form.set("0", new File([file], "Bäume.bin"));
    const answer = await fetch(`${base}/graphql`, { method: "POST", body: form });
    return answer.json();
  },
  (receipt) => {
    const sha256 = createHash("sha256").update(file).digest("hex");
    expect(receipt).toEqual({ data: { upload: { name: "Bäume.bin", bytes: 3_000_000, sha256 } } });
  },
);

const query = "subscription { countdown(from: 5) }";
const countdown = [5, 4, 3, 2, 1, 0].map((count) => ({ data: { countdown: count } }));

describe.each([false, true])("graphql-sse, single connection: %s", (singleConnection) => {
  agrees(
    "a subscription counts down to its end",
    ways,
    async (base) => {
      const client = createSseClient({
        url: `${base}/graphql/stream`,
        singleConnection: singleConnection as false,
        retryAttempts: 0,
      });
      try {
        return await Array.fromAsync(client.iterate({ query }));
      } finally {
        client.dispose();
      }
    },
    (results) => expect(results).toEqual(countdown),
  );
});

agrees(
  "graphql-ws: two subscriptions on one socket, one of which the client leaves",
  ways,
  async (base) => {
    const closed = Promise.withResolvers<unknown>();
    const client = createWsClient({
      url: `${base.replace("http", "ws")}/graphql`,
      webSocketImpl: WebSocket,
      lazy: true,
      retryAttempts: 0,
      on: { closed: (event) => closed.resolve(event) },
    });
    const whole = Array.fromAsync(client.iterate({ query }));
    let heard = 0;
    const endless = "subscription { countdown(from: 5, forever: true) }";
    for await (const _ of client.iterate({ query: endless })) if (++heard === 3) break;
    const results = await whole;
    await client.dispose();
    const { code, wasClean } = (await closed.promise) as { code: number; wasClean: boolean };
    return { results, heard, code, wasClean };
  },
  (seen) => expect(seen).toEqual({ results: countdown, heard: 3, code: 1000, wasClean: true }),
);

agrees(
  "graphql-ws: what is no graphql-ws is closed with the library's own code and reason",
  ways,
  async (base) => {
    const socket = new WebSocket(`${base.replace("http", "ws")}/graphql`, "graphql-transport-ws");
    const closed = Promise.withResolvers<unknown>();
    socket.on("close", (code, reason) => closed.resolve([code, String(reason)]));
    socket.on("error", closed.reject);
    socket.on("open", () => socket.send("this is no JSON"));
    return [socket.protocol, await closed.promise];
  },
  ([, closed]) => expect(closed).toEqual([4400, "Invalid message received"]),
);

test("every command that the example prints answers", async () => {
  const commands = example.lines.filter((line) => line.startsWith("  curl "));
  expect(commands).toHaveLength(5);
  for (const command of commands) {
    const short = command.replace("curl", "curl -s").replace("from: 100", "from: 1");
    const shell = Program.start("bash", ["-c", short]);
    await shell.exit();
    expect(shell.lines.join("\n"), command).toMatch(/"data":/);
    expect(shell.lines.join("\n"), command).not.toMatch(/"errors":/);
  }
});

test.runIf(procfs)("Ctrl-C ends all of it", async () => {
  const parts = descendants(example.pid);
  expect(parts.length).toBeGreaterThan(3);
  example.interrupt();
  await example.exit();
  await poll(async () => parts.every(({ pid }) => !alive(pid)), "the end of every part");
});
