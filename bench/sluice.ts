/**
 * Sluice itself, driven as its users drive it: `agent edge`, `agent token`, `agent connect`.
 */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { family, flags, Program, root, type Worker } from "./process.ts";
import type { RelayAnswer } from "./site/relay.ts";
import type { Site, System } from "./system.ts";
import { temporary } from "./temporary.ts";

const cli = join(root, "agent/cli.ts");
const SERVICE = "bench";

/** As many requests at the origin at once as the benchmark has visitors: the agent's own queue is not what is measured. */
const CONCURRENCY = 512;

/** A Sluice, and a relay that counts its messages if that was asked for. */
export interface Sluice extends System {
  readonly relay: Worker<undefined, RelayAnswer> | undefined;
}

export async function startSluice(site: Site, countMessages = false): Promise<Sluice> {
  const directory = await temporary("sluice");
  const secretFile = join(directory, "secret");
  const tokenFile = join(directory, "token");
  await writeFile(secretFile, randomBytes(32).toString("hex"), { mode: 0o600 });
  const edge = Program.node(cli, [
    "edge",
    ...flags({ "--port": 0, "--secret-file": secretFile }),
    "--json",
  ]);
  const found = await edge.line(/"event":"listening".*"url":"http:\/\/127\.0\.0\.1:(\d+)/);
  const port = Number(found[1]);
  const token = Program.node(cli, [
    "token",
    ...flags({ "--service": SERVICE, "--secret-file": secretFile }),
  ]);
  await writeFile(tokenFile, (await token.output()).trim(), { mode: 0o600 });
  const relay = countMessages ? await site.relay(port, true) : undefined;
  const dialled = relay === undefined ? await site.via(port) : (await relay.ask(undefined)).port;
  const connect = flags({
    "--edge": `http://127.0.0.1:${dialled}`,
    "--service": SERVICE,
    "--origin": `http://127.0.0.1:${site.originPort}`,
    "--token-file": tokenFile,
    "--concurrency": CONCURRENCY,
  });
  const agent = Program.node(cli, ["connect", ...connect], { log: join(directory, "agent.log") });
  // Once it is connected, it prints the public URL, and nothing else on stdout.
  await agent.line(/^http/);
  return {
    name: "sluice",
    kind: "ours",
    target: { port, prefix: `/send/${SERVICE}` },
    does: ["small", "download", "upload", "events"],
    edge: () => family(edge.pid, /^workerd/),
    agent: () => [agent.pid],
    relay,
    stop: async () => {
      await Promise.all([agent.stop(), edge.stop()]);
    },
  };
}
