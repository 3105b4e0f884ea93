/**
 * The edge on this machine: the same Worker and Durable Object as on Cloudflare, in this machine's workerd.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { get, type IncomingMessage, request } from "node:http";
import { get as getSecurely } from "node:https";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import * as v from "valibot";
import { type EdgeLine, readEdgeLine } from "./edge-lines.ts";
import type { EdgeConfig } from "../config/config.ts";
import { removeTemporary, temporaryDirectory } from "./temporary.ts";
import { UsageError } from "../config/usage.ts";
import { bundleWorker } from "./worker-bundle.ts";
import {
  CONTROL_FILE,
  type EdgeParts,
  secretVariables,
  WORKER_FILE,
  workerdConfig,
} from "./workerd-config.ts";

/** From start to listening takes workerd some 20 ms, and a busy machine many times that. */
const START_TIMEOUT_MS = 30_000;

/** How long `stop()` lets workerd finish what it has: the answer that is just going out. */
const STOP_AFTER_MS = 500;

/** How long workerd may take to hear that it is about to end. */
const TELL_WITHIN_MS = 500;

/** What workerd said last is shown when it dies. */
const KEPT_LINES = 20;

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
  /**
   * Ends workerd when what is in flight has finished, after `withinMs` at the latest: what is left then is cut. Nothing new
   * is taken, and agents are told to dial whoever listens next. Called again, it is the last `withinMs` that counts.
   */
  drain(withinMs: number): Promise<void>;
  /** Ends workerd at once, but for an answer that is just going out. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the edge and returns when it answers.
 * @param heard called for each line of its log
 * @throws EdgeError when it cannot start
 */
export async function startEdge(
  config: EdgeConfig,
  parts: EdgeParts,
  heard?: (line: EdgeLine) => void,
): Promise<Edge> {
  const directory = await temporaryDirectory("sluice-edge-");
  await bundleWorker(join(directory, WORKER_FILE));
  // Where there are no Unix sockets agents learn of its end by their connections.
  const control = process.platform === "win32" ? undefined : join(directory, CONTROL_FILE);
  const file = join(directory, "config.capnp");
  await writeFile(file, await workerdConfig(config, parts, control), { mode: 0o600 });
  return run(file, control, config, parts, heard);
}

async function run(
  configFile: string,
  control: string | undefined,
  { host, port: wanted }: EdgeConfig,
  parts: EdgeParts,
  heard: ((line: EdgeLine) => void) | undefined,
): Promise<Edge> {
  const { inherited, keypair } = parts;
  const flags = inherited === undefined ? [] : ["--socket-fd=http=4"];
  // Its own session: Ctrl-C is for us, and we end it when our turn comes.
  const child = spawn(await workerdPath(), ["serve", "--control-fd=3", ...flags, configFile], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe", inherited ?? "ignore"],
    env: { ...process.env, ...secretVariables(parts) },
  });
  const said = keepLines(child, heard);
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  const watchdog = child.pid === undefined ? undefined : watch(child.pid, dirname(configFile));
  let stopping = false;
  const gone = once(child, "close").catch((error: unknown) => [error]);
  const ended = gone.then(async ([cause]) => {
    watchdog?.kill("SIGKILL");
    process.off("exit", kill);
    removeTemporary(dirname(configFile));
    if (stopping) return;
    const last = said();
    throw new EdgeError(
      cannotListen(last, host, wanted) ?? `workerd ended (${String(cause)}).${last}`,
    );
  });
  // Whoever awaits it gets the error; nobody has to.
  ended.catch(() => {});
  let impatient: NodeJS.Timeout | undefined;
  const drain = async (withinMs: number): Promise<void> => {
    clearTimeout(impatient);
    impatient = setTimeout(kill, withinMs);
    if (!stopping) {
      stopping = true;
      await dismiss(child, control);
    }
    await ended;
    clearTimeout(impatient);
  };
  const stop = (): Promise<void> => drain(STOP_AFTER_MS);
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
    const url = `${keypair === undefined ? "http" : "https"}://${shownHost(host)}:${port}`;
    await Promise.race([answers(url), neverEndedWell, late]);
    return { url, ended, drain, stop };
  } catch (error) {
    kill();
    throw error;
  } finally {
    clearTimeout(deadline);
  }
}

/**
 * Makes workerd take no more connections, and then tells the agents to go: the other way round visitors would be refused
 * who come in between. The request that tells them is under way before workerd is told, so that it is one to be finished.
 */
async function dismiss(child: ChildProcess, control: string | undefined): Promise<void> {
  const telling =
    control === undefined
      ? undefined
      : request({ socketPath: control, method: "POST", agent: false });
  // Then agents learn of it by their connections.
  telling?.on("error", () => {});
  telling?.flushHeaders();
  if (telling !== undefined) {
    await once(telling, "response", { signal: AbortSignal.timeout(TELL_WITHIN_MS) })
      .then(([response]: IncomingMessage[]) => response?.resume())
      .catch(() => {});
  }
  child.kill("SIGTERM");
  telling?.end();
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

const listens = v.object({
  event: v.literal("listen"),
  socket: v.string(),
  port: v.number(),
});

/** The port, as workerd tells on its control pipe once it listens. */
async function listening(child: ChildProcess): Promise<number> {
  for await (const line of createInterface({ input: child.stdio[3] as Readable })) {
    if (line === "") continue;
    const { socket, port } = v.parse(listens, JSON.parse(line));
    if (socket === "http") return port;
  }
  // The pipe ends with the process: `ended` says why.
  return new Promise(() => {});
}

/** Resolves when the Worker has answered a request: that it listens does not mean that its code runs. */
function answers(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = url.startsWith("https:")
      ? // It is workerd that we have started, whatever name the certificate is for.
        getSecurely(url, { agent: false, rejectUnauthorized: false })
      : get(url, { agent: false });
    asked.on("response", (response) => {
      response.resume();
      if (response.headers["sluice-error"] === undefined) {
        reject(new EdgeError(`Something else than the edge answers at ${url}.`));
      } else resolve();
    });
    asked.on("error", (error) =>
      reject(new EdgeError(`The edge does not answer: ${error.message}.`)),
    );
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

/** Keeps the last of what workerd says itself; lines of the edge's log go to `heard`. */
function keepLines(child: ChildProcess, heard?: (line: EdgeLine) => void): () => string {
  const lines: string[] = [];
  /** What of each has no end yet. */
  const rests = ["", ""];
  for (const [i, stream] of [child.stdout, child.stderr].entries()) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      const whole = `${rests[i]}${text}`.split("\n");
      rests[i] = whole.pop() ?? "";
      for (const line of whole) {
        const known = readEdgeLine(line);
        if (known !== undefined) heard?.(known);
        else lines.push(line);
      }
      lines.splice(0, lines.length - KEPT_LINES);
    });
  }
  return () => {
    const said = [...lines, ...rests].filter((line) => line !== "");
    return said.length === 0 ? "" : ` It said:\n${said.join("\n")}`;
  };
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

/** An address that can be asked: the wildcard ones mean this machine too. */
function shownHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}
