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

export const cli = join(root, "bin/agent.js");
export const SERVICE = "bench";

/** As many requests at the origin at once as the benchmark has visitors: the agent's own queue is not what is measured. */
const CONCURRENCY = 1024;

/** A Sluice, and a relay that counts its messages if that was asked for. */
export interface Sluice extends System {
  readonly relay: Worker<undefined, RelayAnswer> | undefined;
}

export async function startSluice(site: Site, countMessages = false): Promise<Sluice> {
  const directory = await temporary("sluice");
  const secretFile = await secretIn(directory);
  const tokenFile = join(directory, "token");
  const { program: edge, port } = await edgeWith(secretFile);
  await writeFile(tokenFile, await tokenOf(secretFile), { mode: 0o600 });
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
    does: ["small", "download", "upload", "events", "sockets"],
    edge: () => family(edge.pid, /^workerd/),
    agent: () => [agent.pid],
    relay,
    stop: async () => {
      await Promise.all([agent.stop(), edge.stop()]);
    },
  };
}

/** A file with a new secret for an edge. */
export async function secretIn(directory: string): Promise<string> {
  const file = join(directory, "secret");
  await writeFile(file, randomBytes(32).toString("hex"), { mode: 0o600 });
  return file;
}

/** `agent edge`, once it listens. */
export async function edgeWith(
  secretFile: string,
): Promise<{ readonly program: Program; readonly port: number }> {
  const listen = flags({ "--port": 0, "--secret-file": secretFile });
  const program = Program.node(cli, ["edge", ...listen, "--json"]);
  const found = await program.line(/"event":"listening".*"url":"http:\/\/127\.0\.0\.1:(\d+)/);
  return { program, port: Number(found[1]) };
}

/** What `agent token` prints for the service. */
export async function tokenOf(secretFile: string): Promise<string> {
  const wanted = flags({ "--service": SERVICE, "--secret-file": secretFile });
  return (await Program.node(cli, ["token", ...wanted]).output()).trim();
}
