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
  /** Variables of the Worker. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Opens V8's inspector. */
  readonly inspect?: true;
}

export interface Workerd {
  readonly port: number;
  /** Where the inspector listens, if it was asked for. */
  readonly inspectorPort: number | undefined;
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
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "silent",
    plugins: [...(options.plugins ?? [])],
  });
  await writeFile(join(directory, "config.capnp"), await config(options));
  const { default: binary } = createRequire(import.meta.url)("workerd") as { default: string };
  const inspector = options.inspect === true ? ["--inspector-addr=127.0.0.1:0"] : [];
  const program = Program.start(
    binary,
    ["serve", "--control-fd=3", ...inspector, join(directory, "config.capnp")],
    { control: true },
  );
  const found = await program.line(/"socket":"http","port":(\d+)/);
  const inspected =
    options.inspect === true
      ? await program.line(/"event":"listen-inspector","port":(\d+)/)
      : undefined;
  return {
    port: Number(found[1]),
    inspectorPort: inspected === undefined ? undefined : Number(inspected[1]),
    pid: program.pid,
    stop: () => program.stop(),
  };
}

async function config({
  className,
  binding,
  date,
  variables = {},
}: WorkerdOptions): Promise<string> {
  const wrangler = await readFile(join(root, "wrangler.toml"), "utf8");
  const ours = /^compatibility_date = "(.*)"$/m.exec(wrangler)?.[1];
  const flags = date === undefined ? /^compatibility_flags = (.*)$/m.exec(wrangler)?.[1] : "[]";
  const texts = Object.entries(variables).map(
    ([name, value]) => `, (name = "${name}", text = ${JSON.stringify(value)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "${date ?? ours}",
  compatibilityFlags = ${flags ?? "[]"},
  bindings = [(name = "${binding}", durableObjectNamespace = "${className}")${texts.join("")}],
  durableObjectNamespaces = [(className = "${className}", uniqueKey = "bench", enableSql = true)],
  durableObjectStorage = (inMemory = void),
);
`;
}
