/** Many exchanges on the one socket of one agent: none fails, and each gets its own answer. */
import { Pool } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Received } from "../support/origin.ts";
import { SERVICE, useTunnel } from "../support/use-tunnel.ts";

const tunnel = useTunnel({ agent: ["--concurrency", "1024"] });

let pool: Pool;
beforeAll(() => {
  pool = new Pool(tunnel.edge.url, {
    connections: 1000,
    headersTimeout: 60_000,
    bodyTimeout: 60_000,
  });
});
afterAll(async () => pool.destroy());

interface Reply {
  readonly status: number;
  readonly id: string;
  readonly text: string;
}

async function ask(target: string, body?: string): Promise<Reply> {
  const {
    statusCode,
    headers,
    body: answer,
  } = await pool.request({
    path: `/send/${SERVICE}${target}`,
    method: body === undefined ? "GET" : "POST",
    ...(body === undefined ? {} : { body }),
  });
  return { status: statusCode, id: String(headers["x-id"]), text: await answer.text() };
}

test("1,000 exchanges are under way at once: the origin answers none before it has all", async () => {
  const count = 1000;
  const held: Received[] = [];
  tunnel.origin.on("/held", (received) => {
    held.push(received);
    if (held.length < count) return;
    // In another order than they came in.
    for (const { response, target } of held.reverse()) {
      const id = target.split("=")[1] ?? "";
      response.writeHead(200, { "x-id": id }).end(`answer ${id}`);
    }
  });
  const replies = await Promise.all(
    Array.from({ length: count }, async (_, i) => ask(`/held?id=${i}`)),
  );

  expect(replies).toEqual(
    Array.from({ length: count }, (_, i) => ({ status: 200, id: String(i), text: `answer ${i}` })),
  );
  expect(tunnel.agent.events.filter(({ event }) => event === "connected")).toHaveLength(1);
}, 60_000);

test("10,000 small requests: none fails, none gets another one's answer", async () => {
  const count = 10_000;
  tunnel.origin.on("/small", async (received) => {
    const body = await received.body();
    const id = received.target.split("=")[1] ?? "";
    // The id came in the target and, where there was a body, in it too; the answer has it in both places again.
    received.response
      .writeHead(200, { "x-id": id })
      .end(`answer ${body.length > 0 ? body.toString() : id}`);
  });
  const wrong: unknown[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const reply = await ask(`/small?id=${i}`, i % 3 === 0 ? String(i) : undefined);
      const right = reply.status === 200 && reply.id === String(i) && reply.text === `answer ${i}`;
      if (!right) wrong.push({ i, reply });
    }
  };
  await Promise.all(Array.from({ length: 64 }, work));

  expect(wrong).toEqual([]);
}, 90_000);
