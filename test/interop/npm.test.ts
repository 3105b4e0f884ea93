/** verdaccio: `npm publish` and `npm install` with a registry that is behind the tunnel. */
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Program } from "../support/program.ts";
import { poll } from "../support/until.ts";
import { agrees, listen, useWays } from "./ways.ts";

const START_MS = 60_000;
const file = randomBytes(2_000_000);
let folder: string;

const ways = useWays(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-npm-"));
  // Verdaccio takes no port 0.
  const taken = await listen(createServer());
  await taken.stop();
  const { port } = taken;
  const config = {
    storage: join(folder, "storage"),
    packages: { "**": { access: "$all", publish: "$all" } },
    auth: { htpasswd: { file: join(folder, "users") } },
    uplinks: {},
    web: { enable: false },
    log: { type: "stdout", level: "fatal" },
    max_body_size: "20mb",
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const verdaccio = Program.start("node", [
    "test/interop/node_modules/verdaccio/bin/verdaccio",
    "--config",
    join(folder, "config.json"),
    "--listen",
    `127.0.0.1:${port}`,
  ]);
  const ping = `http://127.0.0.1:${port}/-/ping`;
  await poll(async () => (await fetch(ping).catch(() => {}))?.ok, "verdaccio", START_MS);
  return { port, stop: () => verdaccio.stop() };
});

async function npm(base: string, parameters: readonly string[]): Promise<string> {
  const flags = [
    ...parameters,
    `--registry=${base}/`,
    `--${base.replace("http:", "")}/:_authToken=anyone`,
    // The registry knows itself by the origin's address; its archives are to come the same way as the rest.
    "--replace-registry-host=always",
    `--cache=${join(folder, "cache", randomBytes(4).toString("hex"))}`,
    "--userconfig=/dev/null",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--fetch-retries=0",
  ];
  // npm asks the system's resolver.
  const env = { NODE_OPTIONS: `--import=${new URL("localhost.ts", import.meta.url).href}` };
  const program = Program.start("npm", flags, { env });
  const { code } = await program.exit(START_MS);
  if (code !== 0) throw new Error(`npm ${parameters[0]}: ${program.stderr}`);
  return program.lines.join("\n");
}

let published = 0;

agrees(
  "what npm publishes, npm installs",
  ways,
  async (base) => {
    const version = `1.0.${published++}`;
    const source = join(folder, version);
    await mkdir(source);
    await writeFile(join(source, "package.json"), JSON.stringify({ name: "tea", version }));
    await writeFile(join(source, "leaves.bin"), file);
    await npm(base, ["publish", source]);
    const project = join(folder, `project ${version}`);
    await mkdir(project);
    await writeFile(
      join(project, "package.json"),
      JSON.stringify({ dependencies: { tea: version } }),
    );
    await npm(base, ["install", `--prefix=${project}`]);
    const installed = await readFile(join(project, "node_modules/tea/leaves.bin"));
    return createHash("sha256").update(installed).digest("hex");
  },
  (hash) => expect(hash).toBe(createHash("sha256").update(file).digest("hex")),
);

test("the archives came through the tunnel too", () => {
  const archives = ways.agent.events.filter(
    ({ event, method, path }) =>
      event === "request" && method === "GET" && String(path).endsWith(".tgz"),
  );
  expect(archives.map(({ status }) => status)).toEqual([200, 200]);
});

afterAll(() => rm(folder, { recursive: true, force: true }));
