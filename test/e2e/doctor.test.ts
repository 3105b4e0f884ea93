/** `agent doctor` with the real edge: it finds all well, measures, and takes nothing from an agent that works. */
import { expect, test } from "vitest";
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { Program } from "../support/program.ts";
import { SERVICE, useTunnel } from "../support/use-tunnel.ts";

const tunnel = useTunnel();

test("all is well, the tunnel is measured, and its visitors notice nothing", async () => {
  const { edge, origin, agent } = tunnel;
  origin.otherwise(({ response }) => response.end("from the origin"));
  const token = join(edge.directory, "doctor.token");
  await writeFile(token, await edge.token({ service: SERVICE, expires: "90d" }));
  const flags = ["-e", edge.url, "-s", SERVICE, "--token-file", token, "-p", String(origin.port)];
  const program = Program.agent(["doctor", ...flags, "--idle", "1s", "--json"]);
  let visits = 0;
  // Visitors come all the while.
  while (!program.ended) {
    const answer = await fetch(`${edge.url}/send/${SERVICE}/visit`);
    expect([answer.status, await answer.text()]).toEqual([200, "from the origin"]);
    visits++;
  }
  expect(await program.exit()).toEqual({ code: 0, signal: null });
  const found = Object.fromEntries(program.events.map((event) => [String(event["check"]), event]));
  const statuses = Object.entries(found).map(([name, { status }]) => [name, status]);
  expect(Object.fromEntries(statuses)).toMatchObject({
    configuration: "ok",
    token: "ok",
    tcp: "ok",
    edge: "ok",
    upgrade: "ok",
    authentication: "ok",
    "round-trip": "ok",
    throughput: "ok",
    idle: "ok",
    origin: "ok",
  });
  expect(found["edge"]?.["details"]).toMatch(
    /^sluice-edge\/\S+ answered in .* ms, 1 agent is connected$/,
  );
  const measured = found["throughput"]?.["data"] as Record<
    "up" | "down",
    { readonly bytes: number }
  >;
  expect(measured.up.bytes).toBeGreaterThan(64 * 1024);
  expect(measured.down.bytes).toBeGreaterThan(64 * 1024);
  // The origin got the visits and one HEAD of the doctor's own, and nothing that was measured with.
  const asked = origin.log.map(({ method, target }) => `${method} ${target}`);
  expect(asked.filter((line) => line === "GET /visit")).toHaveLength(visits);
  expect(asked.filter((line) => line !== "GET /visit")).toEqual(["HEAD /"]);
  const troubles = agent.events.filter(({ event }) =>
    ["disconnected", "resumed", "replaced", "draining", "warning", "error"].includes(event),
  );
  expect(troubles).toEqual([]);
}, 60_000);
