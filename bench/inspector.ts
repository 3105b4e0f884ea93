/**
 * What the inspector costs the agent: without it, with it while nobody looks, and with a page open.
 *
 * The page is a connection that reads the live news and drops them, as the browser's; the browser's own work is not the
 * agent's. Measured only when asked for (`--only inspector`): these rows are for one figure, the agent's CPU.
 */
import { writeFile } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import type { Plan } from "./plan.ts";
import { family, flags, Program } from "./process.ts";
import type { Row } from "./row.ts";
import { type Progress, socketRow } from "./rows.ts";
import { cli, edgeWith, SERVICE, secretIn, tokenOf } from "./sluice.ts";
import type { System } from "./system.ts";
import { temporary } from "./temporary.ts";
import { download, downloadRow, type Generators, small, smallRow } from "./tunnel.ts";
import { bulkUnits, measureWork, smallUnits } from "./work.ts";

type Inspected = "no inspector" | "nobody looks" | "a page is open";

export async function inspectorRows(
  originPort: number,
  { measured }: Generators,
  plan: Plan,
  progress: Progress,
): Promise<Row[]> {
  const systems = await Promise.all(
    (["no inspector", "nobody looks", "a page is open"] as const).map((how) =>
      start(originPort, how),
    ),
  );
  const base = { subject: "inspector", systems, rounds: plan.rounds } as const;
  try {
    return [
      ...(await socketRow(
        {
          ...base,
          name: smallRow(64),
          units: smallUnits,
          measure: (system) => measureWork(measured, system, small(system, plan, 64)),
        },
        progress,
      )),
      ...(await socketRow(
        {
          ...base,
          name: downloadRow(1),
          units: bulkUnits,
          measure: (system) => measureWork(measured, system, download(system, plan, 1)),
        },
        progress,
      )),
    ];
  } finally {
    await Promise.all(systems.map((system) => system.stop()));
  }
}

async function start(originPort: number, how: Inspected): Promise<System> {
  const directory = await temporary("inspector");
  const secretFile = await secretIn(directory);
  const tokenFile = join(directory, "token");
  await writeFile(tokenFile, await tokenOf(secretFile), { mode: 0o600 });
  const { program: edge, port } = await edgeWith(secretFile);
  const connect = flags({
    "--edge": `http://127.0.0.1:${port}`,
    "--service": SERVICE,
    "--origin": `http://127.0.0.1:${originPort}`,
    "--token-file": tokenFile,
    "--concurrency": 1024,
  });
  const inspect = how === "no inspector" ? ["--no-inspect"] : ["--inspect-port", "0"];
  const agent = Program.node(cli, ["connect", ...connect, ...inspect, "--json"], {
    log: join(directory, "agent.log"),
  });
  const url =
    how === "no inspector"
      ? undefined
      : (await agent.line(/"event":"inspector".*"url":"([^"]+)"/))[1];
  await agent.line(/"event":"connected"/);
  const close = how === "a page is open" && url !== undefined ? await look(url) : undefined;
  return {
    name: how,
    kind: "ours",
    target: { port, prefix: `/send/${SERVICE}` },
    does: ["small", "download"],
    edge: () => family(edge.pid, /^workerd/),
    agent: () => [agent.pid],
    stop: async () => {
      close?.();
      await Promise.all([agent.stop(), edge.stop()]);
    },
  };
}

/** Reads the live news of an inspector, as an open page does. @returns what ends that */
function look(url: string): Promise<() => void> {
  const { port, searchParams } = new URL(url);
  return new Promise((resolve, reject) => {
    const headers = { "sluice-inspector-token": searchParams.get("t") ?? "" };
    const request = get({ host: "127.0.0.1", port, path: "/api/live", headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error("the inspector lets nobody look"));
      response.on("error", () => {}).resume();
      resolve(() => request.destroy());
    });
    request.on("error", reject);
  });
}
