/**
 * `node bench/first-line.ts [--starts 40] [entry …]`: what passes between the start of `agent connect` and its first output,
 * by the clock and in CPU, beside a Node that does nothing but say a word. An entry is a `bin/agent.js`; this checkout's
 * when none is given.
 *
 * A busy machine makes the time longer and the CPU hardly: look at the shortest of each. Linux only, as the benchmark is.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median } from "./measure.ts";
import { root } from "./process.ts";

interface Start {
  readonly wallMs: number;
  readonly cpuMs: number;
}

const { values, positionals } = parseArgs({
  options: { starts: { type: "string", default: "40" } },
  allowPositionals: true,
});
const entries = positionals.length === 0 ? [join(root, "bin/agent.js")] : positionals;
/** Nothing answers there: the first line is out before that matters. */
const connect = ["connect", "--edge", "http://127.0.0.1:1", "--service", "shop", "--port", "1"];
const variants = new Map([
  ["node, which says a word", ["-e", "process.stderr.write('word'); setInterval(() => {}, 1000)"]],
  ...entries.map((entry) => [entry, [entry, ...connect]] as const),
]);

/** What all threads of a process have used so far: `schedstat` counts nanoseconds. */
function cpuMs(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const used = readdirSync(tasks).map((task) =>
    Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ", 1)[0]),
  );
  return used.reduce((sum, ns) => sum + ns, 0) / 1e6;
}

async function start(parameters: readonly string[]): Promise<Start> {
  const beganMs = performance.now();
  const child = spawn(process.execPath, parameters, {
    env: { ...process.env, AGENT_TOKEN: "none" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (child.pid === undefined) throw new Error("Node did not start");
  await once(child.stderr, "data");
  const measured = { wallMs: performance.now() - beganMs, cpuMs: cpuMs(child.pid) };
  const ended = once(child, "close");
  child.kill("SIGKILL");
  await ended;
  return measured;
}

// Node keeps what it has compiled when it ends in an orderly way, as here, where flags are missing.
for (const entry of entries) {
  await once(spawn(process.execPath, [entry, "connect"], { stdio: "ignore" }), "close");
}
const all = new Map<string, Start[]>(Array.from(variants.keys(), (name) => [name, []]));
// In turns, so that a slow moment of the machine falls on all alike.
for (let turn = 0; turn < Number(values.starts); turn++) {
  for (const [name, parameters] of variants) all.get(name)?.push(await start(parameters));
}
for (const [name, starts] of all) {
  const figures = (["wallMs", "cpuMs"] as const).map((figure) => {
    const sorted = starts.map((each) => each[figure]).sort((a, b) => a - b);
    return `${figure} min ${sorted[0]?.toFixed(0)} median ${median(sorted).toFixed(0)} max ${sorted.at(-1)?.toFixed(0)}`;
  });
  const late = starts.filter(({ wallMs }) => wallMs > 100).length;
  process.stdout.write(
    `${name}\n  ${figures.join("; ")}; ${late} of ${starts.length} above 100 ms\n`,
  );
}
