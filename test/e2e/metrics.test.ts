/** A real agent's metrics and readiness, as a scraper and a supervisor ask for them. */
import { createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Origin } from "../support/origin.ts";
import { Program } from "../support/program.ts";
import { readMetrics, valueOf } from "../support/prometheus.ts";
import { Visitor } from "../support/raw-http.ts";
import { Edge } from "../support/tunnel.ts";

const START_MS = 30_000;
const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** What `agent ready` says, and its exit code. */
async function ready(address: string, flags: readonly string[] = []) {
  const program = Program.agent(["ready", "--metrics", address, ...flags]);
  const { code } = await program.exit(START_MS);
  return { code, out: program.lines.join("\n"), says: program.stderr };
}

test(
  "an agent tells how it is, and `agent ready` ends accordingly",
  async () => {
    const edge = await Edge.start();
    const origin = await Origin.start();
    cleanups.push(
      () => edge.stop(),
      () => origin.stop(),
    );
    const agent = await edge.agent({
      service: "shop",
      port: origin.port,
      flags: ["--metrics", "127.0.0.1:0"],
    });
    const { url } = await agent.event("metrics");
    const { host } = new URL(String(url));
    expect(String(url)).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
    // People find it too.
    await agent.said(/Metrics +http:\/\/127\.0\.0\.1:\d+\/metrics/);
    expect(await ready(host)).toMatchObject({ code: 0, out: "ready: shop" });

    expect((await Visitor.ask(edge.place("shop"))).status).toBe(200);
    await agent.event("request");
    const answer = await fetch(String(url));
    const scrape = readMetrics(await answer.text());
    const counted = { service: "shop", method: "GET", status: "2xx", outcome: "ok" };
    expect(valueOf(scrape, "sluice_requests_total", counted)).toBe(1);
    expect(valueOf(scrape, "sluice_connected", { service: "shop" })).toBe(1);
    expect(valueOf(scrape, "sluice_rtt_seconds", { service: "shop" })).toBeLessThan(START_MS);

    // Five seconds with a request in flight: workerd answers a ping.
    const hold = origin.next(({ target }) => target === "/held");
    const held = Visitor.ask(edge.place("shop"), { target: "/held" });
    const { response } = await hold;
    const { rttMs } = await agent.event("roundTrip", undefined, 0, START_MS);
    const measured = readMetrics(await (await fetch(String(url))).text());
    expect(valueOf(measured, "sluice_rtt_seconds")).toBe(Number(rttMs) / 1000);
    response.end();
    await held;

    await edge.program.stop();
    await agent.event("disconnected");
    const lost = await ready(host);
    expect(lost.code).toBe(1);
    expect(lost.says).toMatch(/shop is not connected.*\(not-ready, docs\/errors\.md#not-ready\)/);
    await agent.stop();
    const gone = await ready(host);
    expect(gone.code).toBe(1);
    expect(gone.says).toMatch(/Nobody answers at .* \(ECONNREFUSED\): is `agent connect` running/);
  },
  3 * START_MS,
);

test(
  "`agent ready` waits no longer than it was told, and says when something else answers",
  async () => {
    let answers = false;
    const server = createServer((socket) => {
      socket.on("error", () => {}).resume();
      if (answers) socket.end("SSH-2.0-somebody\r\n");
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("it has a port");
    const silent = await ready(String(address.port), ["--timeout", "100ms"]);
    expect(silent).toMatchObject({ code: 1 });
    expect(silent.says).toMatch(/No answer from .* within 100 ms/);
    answers = true;
    const other = await ready(String(address.port));
    expect(other).toMatchObject({ code: 1 });
    expect(other.says).toMatch(/What answers at .* is no Sluice agent/);
  },
  2 * START_MS,
);

test(
  "an agent without --metrics says what `agent ready` needs, and one on all addresses is warned",
  async () => {
    const program = Program.agent(["ready"]);
    expect(await program.exit(START_MS)).toMatchObject({ code: 2 });
    expect(program.stderr).toMatch(/Give --metrics .* or set AGENT_METRICS for both/);
    const exposed = Program.agent(
      ["connect", "-p", "1", "-e", "http://127.0.0.1:1", "-s", "shop", "--metrics", "0.0.0.0:0"],
      { env: { AGENT_TOKEN: "a.token", AGENT_JSON: "1" } },
    );
    cleanups.push(() => exposed.stop());
    const warning = await exposed.event("warning", undefined, 0, START_MS);
    expect(warning).toMatchObject({ code: "metrics-exposed" });
  },
  2 * START_MS,
);
