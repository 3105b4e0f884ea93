/**
 * Gets peers from the registries that their users get them from, into a cache outside the repository. Nothing that is
 * installed here is a dependency of the project, and nothing of it is installed for the whole system.
 */
import { access, constants, mkdir, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { Program } from "../process.ts";
import type { Site, System } from "../system.ts";

const INSTALL_MS = 300_000;

/** A rival, and how to get and start it. */
export interface Peer {
  readonly name: string;
  /** Starts it, installing it first if need be. @throws Error that says why it cannot be had here. */
  start(site: Site): Promise<System>;
}

/** A folder of the cache, made if need be. */
export async function cache(...names: string[]): Promise<string> {
  const base = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const directory = join(base, "sluice-bench", ...names);
  await mkdir(directory, { recursive: true });
  return directory;
}

export async function exists(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

/** The path of a program, if there is one of that name. */
export async function onPath(name: string): Promise<string | undefined> {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  for (const directory of directories) {
    if (await exists(join(directory, name))) return join(directory, name);
  }
  return undefined;
}

/** The folder of an npm package. */
export async function npmPackage(name: string, version: string): Promise<string> {
  const directory = await cache("npm", `${name.replaceAll("/", "-")}-${version}`);
  const found = join(directory, "node_modules", name);
  if (!(await exists(join(found, "package.json")))) {
    await writeFile(join(directory, "package.json"), '{"private":true}');
    await run(
      "npm",
      ["install", "--no-audit", "--no-fund", "--ignore-scripts", `${name}@${version}`],
      directory,
    );
  }
  return found;
}

/** A Go program: the one that is there already, or one made from its module. */
export async function goProgram(name: string, module: string, version: string): Promise<string> {
  const there = await onPath(name);
  if (there !== undefined) return there;
  if ((await onPath("go")) === undefined) throw new Error("no Go toolchain is here");
  const GOPATH = await cache("go");
  const binary = join(GOPATH, "bin", name);
  if (!(await exists(binary))) {
    // The toolchain at hand or none: no other is fetched.
    const env = { GOPATH, GOTOOLCHAIN: "local", GOFLAGS: "-modcacherw", GOBIN: "" };
    await run("go", ["install", `${module}@${version}`], GOPATH, env);
  }
  return binary;
}

export async function run(
  command: string,
  parameters: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return Program.start(command, parameters, { cwd, env }).output(INSTALL_MS);
}

/** A port that nobody has at the moment, for programs that cannot choose one themselves. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** A peer that does all there is to do, as two programs and what they have started. */
export function peerSystem(
  name: string,
  target: System["target"],
  pids: Pick<System, "edge" | "agent">,
  stop: () => Promise<unknown>,
): System {
  return {
    name,
    kind: "peer",
    target,
    does: ["small", "download", "upload", "events"],
    ...pids,
    stop: async () => void (await stop()),
  };
}
