/**
 * The edge on this machine: the same Worker and Durable Object as on Cloudflare, in this machine's workerd.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import * as v from "valibot";
import type { EdgeConfig } from "../config/config.ts";
import { temporaryDirectory } from "./temporary.ts";
import { UsageError } from "../config/usage.ts";
import { bundleWorker } from "./worker-bundle.ts";

/** From start to listening takes workerd some 20 ms, and a busy machine many times that. */
const START_TIMEOUT_MS = 30_000;

/** On SIGTERM workerd waits for its visitors, however long they stay; nothing is lost when it does not. */
const STOP_AFTER_MS = 500;

/** What workerd said last is shown when it dies. */
const KEPT_LINES = 20;

/**
 * V8 collects early instead of letting a young heap grow to 32 MiB: most of what the edge allocates is bodies that live
 * for a millisecond. It saves some 50 MiB beside 500 stalled visitors and costs a download nothing that we could measure.
 */
const V8_FLAGS = [
  "--max-semi-space-size=1",
  "--min-semi-space-size=1",
  "--initial-old-space-size=4",
];

/** The edge could not be started, or died; the message has workerd's last lines. */
export class EdgeError extends Error {
  /** Whether another program has the port. */
  readonly portTaken: boolean;

  constructor(message: string) {
    super(message);
    this.name = "EdgeError";
    this.portTaken = /address already in use/i.test(message);
  }
}

export interface Edge {
  readonly url: string;
  /** Rejects with an `EdgeError` when workerd dies, resolves when it was stopped. */
  readonly ended: Promise<void>;
  /** Ends workerd. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the edge and returns when it answers.
 * @throws EdgeError when it cannot start
 */
export async function startEdge(config: EdgeConfig, secret: string): Promise<Edge> {
  const directory = await temporaryDirectory("sluice-edge-");
  await bundleWorker(join(directory, "worker.js"));
  await writeFile(join(directory, "config.capnp"), await capnp(config));
  return run(join(directory, "config.capnp"), config, secret);
}

async function run(
  configFile: string,
  { host, port: wanted }: EdgeConfig,
  secret: string,
): Promise<Edge> {
  // Its own session: Ctrl-C is for us, and we end it when our turn comes.
  const child = spawn(await workerdPath(), ["serve", "--control-fd=3", configFile], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    env: { ...process.env, TUNNEL_SECRET: secret },
  });
  const said = keepLines(child);
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  const watchdog = child.pid === undefined ? undefined : watch(child.pid, dirname(configFile));
  let stopping = false;
  const gone = once(child, "close").catch((error: unknown) => [error]);
  const ended = gone.then(async ([cause]) => {
    watchdog?.kill("SIGKILL");
    process.off("exit", kill);
    if (stopping) return;
    const last = said();
    throw new EdgeError(
      cannotListen(last, host, wanted) ?? `workerd ended (${String(cause)}).${last}`,
    );
  });
  // Whoever awaits it gets the error; nobody has to.
  ended.catch(() => {});
  const stop = async (): Promise<void> => {
    stopping = true;
    child.kill("SIGTERM");
    const impatient = setTimeout(kill, STOP_AFTER_MS);
    await ended;
    clearTimeout(impatient);
  };
  let deadline: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    deadline = setTimeout(
      () => reject(new EdgeError(`workerd did not listen within ${START_TIMEOUT_MS} ms.${said()}`)),
      START_TIMEOUT_MS,
    );
  });
  const neverEndedWell = ended.then((): never => {
    throw new EdgeError("workerd was stopped before it listened.");
  });
  try {
    const port = await Promise.race([listening(child), neverEndedWell, late]);
    const url = `http://${shownHost(host)}:${port}`;
    await Promise.race([answers(url), neverEndedWell, late]);
    return { url, ended, stop };
  } catch (error) {
    kill();
    throw error;
  } finally {
    clearTimeout(deadline);
  }
}

/** A sentence instead of workerd's words for the two faults that a person at the terminal can mend. */
function cannotListen(said: string, host: string, port: number): string | undefined {
  if (/address already in use/i.test(said)) {
    return `Port ${port} of ${host} is taken (address already in use): end the program that has it, or choose another with --port.`;
  }
  if (/cannot assign requested address/i.test(said)) {
    return `This machine has no address ${host}: choose another with --host.`;
  }
  return undefined;
}

const control = v.object({
  event: v.literal("listen"),
  socket: v.literal("http"),
  port: v.number(),
});

/** The port, as workerd tells on its control pipe once it listens. */
async function listening(child: ChildProcess): Promise<number> {
  const pipe = child.stdio[3] as Readable;
  let text = "";
  for await (const chunk of pipe) {
    text += String(chunk);
    const end = text.indexOf("\n");
    if (end !== -1) return v.parse(control, JSON.parse(text.slice(0, end))).port;
  }
  // The pipe ends with the process: `ended` says why.
  return new Promise(() => {});
}

/** Resolves when the Worker has answered a request: that it listens does not mean that its code runs. */
function answers(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      if (response.headers["sluice-error"] === undefined) {
        reject(new EdgeError(`Something else than the edge answers at ${url}.`));
      } else resolve();
    }).on("error", (error) => reject(new EdgeError(`The edge does not answer: ${error.message}.`)));
  });
}

/** A process that ends workerd, and clears up, when we are gone, however we went: then the pipe that it reads comes to its end. */
function watch(pid: number, directory: string): ChildProcess | undefined {
  if (process.platform === "win32") return undefined;
  const watchdog = spawn(
    "/bin/sh",
    ["-c", 'cat; kill -9 "$0"; rm -rf "$1"', String(pid), directory],
    {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    },
  );
  watchdog.on("error", () => {
    // Without a shell workerd outlives only a killed agent.
  });
  watchdog.unref();
  return watchdog;
}

function keepLines(child: ChildProcess): () => string {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      lines.push(...text.split("\n").filter((line) => line !== ""));
      lines.splice(0, lines.length - KEPT_LINES);
    });
  }
  return () => (lines.length === 0 ? "" : ` It said:\n${lines.join("\n")}`);
}

/** The package has no types: it exports the path of its binary. */
async function workerdPath(): Promise<string> {
  const require = createRequire(import.meta.url);
  try {
    return v.parse(v.object({ default: v.string() }), require("workerd")).default;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND")) {
      throw error;
    }
    throw new UsageError(
      "`agent edge` runs on workerd, which is 130 MB and so does not come with this package. Install it beside: `npm install workerd` (with -g if this is installed with -g).",
    );
  }
}

async function capnp(config: EdgeConfig): Promise<string> {
  const { host, port, domain, visitors, graceMs, shards } = config;
  const wrangler = await readFile(new URL("../../wrangler.toml", import.meta.url), "utf8");
  const date = /^compatibility_date = (".*")$/m.exec(wrangler)?.[1];
  const flags = /^compatibility_flags = (\[.*\])$/m.exec(wrangler)?.[1] ?? "[]";
  if (date === undefined) throw new UsageError("wrangler.toml has no compatibility_date.");
  const variables = {
    VISITORS: visitors === "open" ? "public" : "token",
    TUNNEL_DOMAIN: domain,
    GRACE_SECONDS: String(graceMs / 1000),
    SHARDS: String(shards),
  };
  const bindings = Object.entries(variables)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `    (name = "${name}", text = ${JSON.stringify(value)}),\n`);
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "edge", worker = .edge)],
  sockets = [(name = "http", address = ${JSON.stringify(address)}, http = (), service = "edge")],
  v8Flags = ${JSON.stringify(V8_FLAGS)},
);

const edge :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = ${date},
  compatibilityFlags = ${flags},
  bindings = [
    (name = "CORRELATOR", durableObjectNamespace = "Correlator"),
    (name = "TUNNEL_SECRET", fromEnvironment = "TUNNEL_SECRET"),
${bindings.join("")}  ],
  durableObjectNamespaces = [(className = "Correlator", uniqueKey = "sluice", enableSql = true)],
  # The objects store nothing: an agent that dials again brings everything back.
  durableObjectStorage = (inMemory = void),
);
`;
}

/** An address that can be asked: the wildcard ones mean this machine too. */
function shownHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}
