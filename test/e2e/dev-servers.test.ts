/** A real Vite behind a real edge, started by the agent as a person would: `agent connect -- vite`. */
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { alive, descendants, procfs } from "../support/memory.ts";
import { Program } from "../support/program.ts";
import { Visitor } from "../support/raw-http.ts";
import { Edge } from "../support/tunnel.ts";

/** No dependency of ours: vitest brings it. */
const vite = fileURLToPath(new URL("../../node_modules/vite/bin/vite.js", import.meta.url));
const there = existsSync(vite);
if (!there) process.stderr.write("skipped: there is no Vite here\n");

const START_MS = 60_000;

describe.runIf(there)("Vite", () => {
  let edge: Edge;
  let directory = "";
  let agent: Program;

  beforeAll(async () => {
    edge = await Edge.start();
    directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
    await writeFile(join(directory, "index.html"), "<p>made by Vite</p>\n");
    await writeFile(join(directory, "token"), await edge.token({ service: "shop" }));
    const to = ["-e", edge.url, "-s", "shop", "--token-file", join(directory, "token"), "--json"];
    const command = [process.execPath, vite, directory, "--port", "0", "--clearScreen", "false"];
    agent = Program.agent(["connect", ...to, "--", ...command]);
    await agent.event("connected", undefined, 0, START_MS);
  }, START_MS);

  afterAll(async () => {
    await agent.stop();
    await edge.stop();
    await rm(directory, { recursive: true, force: true });
  }, START_MS);

  test("lets its visitors in by both kinds of URL, as it is asked by the name that it expects", async () => {
    const byPath = await Visitor.ask(edge.place("shop"), { target: "/" });
    const host = `shop.localhost:${edge.port}`;
    const byHost = await Visitor.ask({ port: edge.port, host, prefix: "" }, { target: "/" });

    for (const answer of [byPath, byHost]) {
      expect([answer.status, answer.body.toString()]).toEqual([
        200,
        expect.stringContaining("made by Vite"),
      ]);
    }
  });

  test("turns away who comes by a name of his own, so that it is no luck that ours may pass", async () => {
    const { port } = new URL(
      /http:\/\/localhost:\d+/.exec(agent.stderr.split("listens on ")[1] ?? "")?.[0] ?? "",
    );
    const answer = await Visitor.ask(
      { port: Number(port), host: "edge.example.workers.dev", prefix: "" },
      { target: "/" },
    );

    expect(answer.status).toBe(403);
  });

  test.runIf(procfs)("ends with the agent", async () => {
    const below = descendants(agent.pid).map(({ pid }) => pid);
    agent.kill("SIGINT");
    await agent.exit();

    expect(below.filter(alive)).toEqual([]);
  });
});
