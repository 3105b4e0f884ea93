import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { Detail, List, Status } from "../../../agent/inspector/api.ts";
import { Origin } from "../../support/origin.ts";
import { Program } from "../../support/program.ts";
import { poll } from "../../support/until.ts";
import { FakeEdge } from "../fake-edge.ts";
import { readAll } from "../pair.ts";

const ended: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});

async function agent(...flags: readonly string[]) {
  const edge = await FakeEdge.start();
  ended.push(() => edge.stop());
  const origin = await Origin.start();
  ended.push(() => origin.stop());
  const directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
  ended.push(() => rm(directory, { recursive: true, force: true }));
  await writeFile(join(directory, "token"), "a.token");
  const program = Program.agent([
    "connect",
    "--edge",
    edge.url.href,
    "--service",
    "shop",
    "--port",
    String(origin.port),
    "--token-file",
    join(directory, "token"),
    "--json",
    ...flags,
  ]);
  ended.push(() => program.stop());
  return { edge, origin, program };
}

test("`agent connect --inspect-port 0` says where it is, shows what passes there, and repeats it at the origin", async () => {
  const { edge, origin, program } = await agent("--inspect-port", "0");
  const { port, searchParams } = new URL(String((await program.event("inspector"))["url"]));
  const headers = { "sluice-inspector-token": searchParams.get("t") ?? "" };
  const api = async <T>(path: string, init: RequestInit = {}): Promise<T> =>
    (await fetch(`http://127.0.0.1:${port}/api/${path}`, { headers, ...init }).then((answer) =>
      answer.json(),
    )) as T;
  const { session } = await edge.caller();
  const exchange = session.open({
    method: "GET",
    path: "/tea?hot=1",
    headers: ["X", "y"],
    length: "none",
  });
  await exchange.answer();
  await readAll(exchange);
  await program.event("request");
  const { rows } = await api<List>("exchanges");
  expect(rows).toMatchObject([{ service: "shop", path: "/tea?hot=1", status: 200, phase: "over" }]);
  const status = await api<Status>("status");
  expect(status.services[0]).toMatchObject({
    connections: [{ state: "connected", reconnects: 0 }],
  });
  expect(status.services[0]?.settings).toContainEqual({
    name: "service",
    value: "shop",
    from: "--service",
  });
  expect(status.services[0]?.settings).toContainEqual({
    name: "concurrency",
    value: "64",
    from: "default",
  });
  expect(JSON.stringify(status)).not.toContain("a.token");
  const { id } = await api<{ readonly id: number }>("exchanges/1/replay", { method: "POST" });
  await origin.arrived(2);
  expect(origin.log[1]?.request.headers).toMatchObject({ x: "y", "sluice-replay-of": "1" });
  await program.event("request", undefined, 1);
  await poll(async () => (await api<Detail>(`exchanges/${id}`)).row.phase === "over", "its end");
});

test("without being asked, `agent connect --json` has no inspector", async () => {
  const { edge, program } = await agent();
  await edge.caller();
  await program.event("connected");
  expect(program.events.some(({ event }) => event === "inspector")).toBe(false);
});
