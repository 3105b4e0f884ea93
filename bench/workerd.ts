/**
 * Runs a Worker with one Durable Object class in workerd, with the compatibility settings of the product: for floors
 * and for peers that are Workers themselves.
 */
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import { Program, root } from "./process.ts";
import { temporary } from "./temporary.ts";

export interface WorkerdOptions {
  /** The entry file, JavaScript or TypeScript. */
  readonly entry: string;
  readonly className: string;
  /** The name of the binding to the class. */
  readonly binding: string;
  /** Another compatibility date than the product's. */
  readonly date?: string;
  readonly plugins?: readonly Plugin[];
}

export interface Workerd {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const directory = await temporary("workerd");
  await build({
    entryPoints: [options.entry],
    outfile: join(directory, "worker.js"),
    bundle: true,
    format: "esm",
    target: "es2024",
    platform: "neutral",
    mainFields: ["module", "main"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "silent",
    plugins: [...(options.plugins ?? [])],
  });
  await writeFile(join(directory, "config.capnp"), await config(options));
  const { default: binary } = createRequire(import.meta.url)("workerd") as { default: string };
  const program = Program.start(
    binary,
    ["serve", "--control-fd=3", join(directory, "config.capnp")],
    { control: true },
  );
  const found = await program.line(/"socket":"http","port":(\d+)/);
  return {
    port: Number(found[1]),
    pid: program.pid,
    stop: () => program.stop(),
  };
}

async function config({ className, binding, date }: WorkerdOptions): Promise<string> {
  const wrangler = await readFile(join(root, "wrangler.toml"), "utf8");
  const ours = /^compatibility_date = "(.*)"$/m.exec(wrangler)?.[1];
  const flags = date === undefined ? /^compatibility_flags = (.*)$/m.exec(wrangler)?.[1] : "[]";
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "${date ?? ours}",
  compatibilityFlags = ${flags ?? "[]"},
  bindings = [(name = "${binding}", durableObjectNamespace = "${className}")],
  durableObjectNamespaces = [(className = "${className}", uniqueKey = "bench", enableSql = true)],
  durableObjectStorage = (inMemory = void),
);
`;
}
