/**
 * `npm start`: the GraphQL server, an edge in workerd and an agent between them, with the commands that a user types.
 * Ctrl-C ends all three.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { startGraphqlServer } from "./server.ts";

const SERVICE = "api";
const cli = fileURLToPath(new URL("../../bin/agent.js", import.meta.url));

const folder = await mkdtemp(join(tmpdir(), "sluice-graphql-"));
const children: ChildProcess[] = [];

/** Runs one `agent` command, and resolves with the first line of its output that `wanted` knows. */
function agent<T>(
  parameters: readonly string[],
  wanted: (line: string) => T | undefined,
): Promise<T> {
  const child = spawn(process.execPath, [cli, ...parameters], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    child.on("exit", () => reject(new Error(`agent ${parameters[0]} ended`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = wanted(line);
      if (found !== undefined) resolve(found);
    });
  });
}

const event =
  <T>(name: string, take: (fields: Record<string, unknown>) => T) =>
  (line: string): T | undefined => {
    const fields = JSON.parse(line) as Record<string, unknown>;
    return fields["event"] === name ? take(fields) : undefined;
  };

const interrupted = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
const server = await startGraphqlServer();
const secretFile = join(folder, "secret");
const tokenFile = join(folder, "token");
try {
  await writeFile(secretFile, randomBytes(32).toString("hex"), { mode: 0o600 });
  const edge = await agent(
    [
      "edge",
      "--port",
      process.env["PORT"] ?? "8787",
      "--domain",
      "localhost",
      "--secret-file",
      secretFile,
      "--json",
    ],
    event("listening", ({ url }) => String(url)),
  );
  const token = await agent(
    ["token", "--service", SERVICE, "--secret-file", secretFile],
    (line) => line,
  );
  await writeFile(tokenFile, token, { mode: 0o600 });
  await agent(
    `connect --edge ${edge} --service ${SERVICE} --token-file ${tokenFile} --port ${server.port} --grace 1s --json`.split(
      " ",
    ),
    event("connected", () => true),
  );
  const url = `${edge}/send/${SERVICE}/graphql`;
  process.stdout.write(`GraphQL at http://127.0.0.1:${server.port}/graphql
Through the tunnel at ${url}

  curl ${url} --json '{"query": "{ products { id name stock } }"}'
  curl ${url} --json '{"query": "mutation { order(id: \\"1\\", count: 2) { name stock } }"}'
  curl -N ${url} --json '{"query": "{ products { name ... @defer { review } } }"}' -H 'accept: multipart/mixed'
  curl ${url} -F operations='{"query": "mutation ($file: Upload!) { upload(file: $file) { name bytes sha256 } }"}' -F map='{"0": ["variables.file"]}' -F 0=@package.json
  curl -N ${url}/stream --json '{"query": "subscription { countdown(from: 100) }"}' -H 'accept: text/event-stream'

Subscriptions by graphql-ws: the same URL with ws:. Ctrl-C ends it.
`);
  await interrupted;
} finally {
  const running = children.filter(
    ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
  );
  for (const child of running) child.kill("SIGTERM");
  await Promise.all(running.map((child) => once(child, "exit")));
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}
process.exit(0);
