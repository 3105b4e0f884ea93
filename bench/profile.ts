/**
 * `npm run profile -- [small|download|upload] [--seconds 5]`: where the CPU of the edge and of the agent goes. Writes one
 * `.cpuprofile` of each, which Chrome's DevTools and VS Code open, and prints the functions in which most of the time was spent.
 *
 * It measures nothing that is published: profiling slows both ends down.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as v from "valibot";
import { WebSocket } from "ws";
import type { Job } from "./load/job.ts";
import { flags, Program, root } from "./process.ts";
import { cli, SERVICE, tokenOf } from "./sluice.ts";
import { temporary } from "./temporary.ts";
import { startGenerator } from "./work.ts";
import { startWorkerd } from "./workerd.ts";

const folder = join(root, "bench/results/tmp");

/** How many functions are printed. */
const SHOWN = 15;

/** A profile as V8 gives it, as far as it is looked at here. */
const cpuProfile = v.looseObject({
  nodes: v.array(
    v.looseObject({
      id: v.number(),
      callFrame: v.looseObject({
        functionName: v.string(),
        url: v.string(),
        lineNumber: v.number(),
      }),
    }),
  ),
  samples: v.array(v.number()),
  timeDeltas: v.array(v.number()),
});

type CpuProfile = v.InferOutput<typeof cpuProfile>;

function jobOf(kind: string, port: number, ms: number): Job {
  const target = { port, prefix: `/send/${SERVICE}` };
  // So many that none of them ends before the time is over.
  if (kind === "download") return { kind, target, streams: 4, bytes: 2 ** 40, ms };
  // Uploads cannot be cut: about as many as fit into the time.
  if (kind === "upload") return { kind, target, streams: 4, bytes: ms * 50_000, ms: 10 * ms };
  return { kind: "small", target, concurrency: 64, warmMs: 0, ms };
}

const message = v.looseObject({
  id: v.optional(v.number()),
  result: v.optional(v.unknown()),
});

/** V8's inspector of the edge. */
class Inspector {
  readonly #socket: WebSocket;
  #id = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  static async of(port: number): Promise<Inspector> {
    const answer = await fetch(`http://127.0.0.1:${port}/json`);
    const [{ webSocketDebuggerUrl: url }] = v.parse(
      v.tuple([v.looseObject({ webSocketDebuggerUrl: v.string() })]),
      await answer.json(),
    );
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    return new Inspector(socket);
  }

  async ask(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#id;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const hear = (data: Buffer): void => {
      const heard = v.parse(message, JSON.parse(String(data)));
      // workerd answers some with nothing but the question.
      if (heard.id !== id) return;
      this.#socket.off("message", hear);
      resolve(heard.result);
    };
    this.#socket.on("message", hear);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return promise;
  }

  close(): void {
    this.#socket.close();
  }
}

/** The functions with most time of their own, as lines. Waiting is none. */
export function topOf({ nodes, samples, timeDeltas }: CpuProfile, most: number): string[] {
  const names = new Map<number, string>();
  for (const { id, callFrame } of nodes) {
    const { functionName, url, lineNumber } = callFrame;
    const file = url.split("/").at(-1) ?? "";
    const where = file === "" ? "" : ` ${file}:${lineNumber + 1}`;
    names.set(id, `${functionName || "(anonymous)"}${where}`);
  }
  const times = new Map<string, number>();
  let busy = 0;
  for (const [at, id] of samples.entries()) {
    const name = names.get(id) ?? "";
    if (name === "(idle)" || name === "(program)") continue;
    const took = timeDeltas[at] ?? 0;
    times.set(name, (times.get(name) ?? 0) + took);
    busy += took;
  }
  const sorted = [...times].sort(([, a], [, b]) => b - a).slice(0, most);
  return sorted.map(([name, took]) => `${((100 * took) / busy).toFixed(1).padStart(5)} %  ${name}`);
}

async function main(kind: string, ms: number): Promise<void> {
  const directory = await temporary("profile");
  const secret = randomBytes(32).toString("hex");
  const [secretFile, tokenFile] = [join(directory, "secret"), join(directory, "token")];
  await writeFile(secretFile, secret, { mode: 0o600 });
  await writeFile(tokenFile, await tokenOf(secretFile), { mode: 0o600 });
  const edge = await startWorkerd({
    entry: join(root, "edge/worker.ts"),
    className: "Correlator",
    binding: "CORRELATOR",
    variables: { TUNNEL_SECRET: secret, VISITORS: "public" },
    inspect: true,
  });
  const origin = Program.node(join(root, "bench/site/origin.ts"), []);
  const [, originPort = ""] = await origin.line(/listening on (\d+)/);
  const connect = flags({
    "--edge": `http://127.0.0.1:${edge.port}`,
    "--service": SERVICE,
    "--origin": `http://127.0.0.1:${originPort}`,
    "--token-file": tokenFile,
    "--concurrency": 512,
  });
  const profiled = ["--cpu-prof", `--cpu-prof-dir=${directory}`, cli, "connect", ...connect];
  const agent = Program.start(process.execPath, profiled, { log: join(directory, "agent.log") });
  await agent.line(/^http/);
  const generator = startGenerator();
  await generator.ask(jobOf("small", edge.port, 1000));
  const inspector = await Inspector.of(edge.inspectorPort ?? 0);
  await inspector.ask("Profiler.enable");
  await inspector.ask("Profiler.start");
  await generator.ask(jobOf(kind, edge.port, ms));
  const { profile } = v.parse(
    v.looseObject({ profile: cpuProfile }),
    await inspector.ask("Profiler.stop"),
  );
  inspector.close();
  await agent.stop();
  await Promise.all([edge.stop(), origin.stop(), generator.stop()]);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "edge.cpuprofile"), JSON.stringify(profile));
  // Node names it after the process and its threads: the agent has one.
  const written = (await readdir(directory)).find((name) => name.endsWith(".cpuprofile")) ?? "";
  await rename(join(directory, written), join(folder, "agent.cpuprofile"));
  const ofAgent = JSON.parse(await readFile(join(folder, "agent.cpuprofile"), "utf8")) as unknown;
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  for (const [name, each] of [
    ["edge", profile],
    ["agent", v.parse(cpuProfile, ofAgent)],
  ] as const) {
    say(`${name}: bench/results/tmp/${name}.cpuprofile`);
    for (const line of topOf(each, SHOWN)) say(`  ${line}`);
  }
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seconds: { type: "string", default: "5" } },
  });
  await main(positionals[0] ?? "small", Number(values.seconds) * 1000);
  process.exit();
}
