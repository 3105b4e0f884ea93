/**
 * Child processes of the benchmark, and what /proc says of them. Linux only, as the benchmark is.
 *
 * Whatever was started here is gone when the benchmark's process ends, however it ends: `stopAll`.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { temporaryBase } from "./temporary.ts";

export const root = fileURLToPath(new URL("..", import.meta.url));

const START_MS = 60_000;
const STOP_MS = 3_000;

/** Nothing that is asked takes longer. */
const ANSWER_MS = 60_000;

const running = new Set<ChildProcess>();

/** Kills what is still running, at once. */
export function stopAll(): void {
  for (const child of running) kill(child, "SIGKILL");
}
process.on("exit", stopAll);
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.once(signal, () => process.exit(code));
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The user and group to run as, where the benchmark runs as root. */
  readonly user?: number;
  /** A file that stderr goes to, for programs that say something about every request: reading it would be measured. */
  readonly log?: string;
  /** Opens a pipe as file descriptor 3, whose lines count as output (workerd's --control-fd). */
  readonly control?: boolean;
}

/** Flags and their values as a command line has them. */
export function flags(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [name, String(value)]);
}

/** A program that says by a line of output that it is ready. */
export class Program {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #title: string;
  readonly #log: string | undefined;
  readonly #lines: string[] = [];
  #look: (() => void) | undefined;
  #ended = false;

  private constructor(child: ChildProcess, title: string, log: string | undefined) {
    if (child.pid === undefined) throw new Error(`${title} did not start`);
    this.pid = child.pid;
    this.#child = child;
    this.#title = title;
    this.#log = log;
    running.add(child);
    for (const output of [child.stdout, child.stderr, child.stdio[3]]) {
      if (output === null || output === undefined || !("read" in output)) continue;
      createInterface({ input: output }).on("line", (line) => {
        this.#lines.push(line);
        if (this.#lines.length > 500) this.#lines.shift();
        this.#look?.();
      });
    }
    child.on("close", () => {
      this.#ended = true;
      running.delete(child);
      this.#look?.();
    });
  }

  static start(
    command: string,
    parameters: readonly string[],
    options: StartOptions = {},
  ): Program {
    const log = options.log === undefined ? "pipe" : openSync(options.log, "w");
    const child = spawn(command, parameters, {
      cwd: options.cwd ?? root,
      // Settings of whoever runs the benchmark must not configure what is measured.
      env: { ...cleanEnvironment(), TMPDIR: temporaryBase(), ...options.env },
      stdio: ["ignore", "pipe", log, ...(options.control === true ? (["pipe"] as const) : [])],
      // A group of its own: Ctrl-C reaches the benchmark, which ends its children in its own way.
      detached: true,
      ...(options.user === undefined ? {} : { uid: options.user, gid: options.user }),
    });
    if (typeof log === "number") closeSync(log);
    child.on("error", () => {});
    return new Program(child, `${command} ${parameters.slice(0, 3).join(" ")}`, options.log);
  }

  /** A TypeScript file of this repository under the Node that runs the benchmark. */
  static node(file: string, parameters: readonly string[], options: StartOptions = {}): Program {
    return Program.start(process.execPath, [file, ...parameters], options);
  }

  /** The first match of `pattern` in its output; rejects with what it said when it ends or takes too long. */
  line(pattern: RegExp, ms = START_MS): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const settle = (): boolean => {
        const found = this.#lines.map((line) => pattern.exec(line)).find((match) => match !== null);
        if (found === undefined && !this.#ended) return false;
        clearTimeout(timer);
        this.#look = undefined;
        if (found === undefined) reject(this.#complaint("ended"));
        else resolve(found);
        return true;
      };
      const timer = setTimeout(() => {
        this.#look = undefined;
        reject(this.#complaint("is not ready"));
      }, ms);
      if (!settle()) this.#look = settle;
    });
  }

  /** Resolves with all it printed when it has ended. */
  output(ms = START_MS): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(this.#complaint("does not end")), ms);
      this.#child.on("close", (code) => {
        clearTimeout(timer);
        if (code === 0) resolve(this.#lines.join("\n"));
        else reject(this.#complaint(`failed (${code})`));
      });
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  async stop(): Promise<void> {
    await stop(this.#child, () => this.#ended);
  }

  #complaint(what: string): Error {
    const logged = this.#log === undefined ? [] : (read(this.#log)?.trim().split("\n") ?? []);
    const said = [...this.#lines, ...logged].slice(-5).join(" | ");
    return new Error(`${this.#title} ${what}${said === "" ? "" : `: ${said}`}`);
  }
}

/** A file of the benchmark in a process of its own that answers questions: it gets `question`, it sends an answer. */
export class Worker<Question, Answer> {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<Answer>>();
  #next = 0;

  constructor(file: string, parameters: readonly string[] = []) {
    const child = fork(file, parameters, { cwd: root, detached: true, serialization: "advanced" });
    if (child.pid === undefined) throw new Error(`${file} did not start`);
    this.pid = child.pid;
    this.#child = child;
    running.add(child);
    child.on("message", ({ id, answer, fault }: { id: number; answer: Answer; fault?: string }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (fault === undefined) waiting?.resolve(answer);
      else waiting?.reject(new Error(fault));
    });
    child.on("close", () => {
      running.delete(child);
      for (const { reject } of this.#waiting.values()) reject(new Error(`${file} ended`));
    });
  }

  /** Asks, and gives up after `ms`: then what it is doing goes on without anybody who waits for it. */
  async ask(question: Question, ms = ANSWER_MS): Promise<Answer> {
    const waiting = Promise.withResolvers<Answer>();
    const id = this.#next++;
    this.#waiting.set(id, waiting);
    const timer = setTimeout(() => waiting.reject(new Error(`no answer within ${ms} ms`)), ms);
    this.#child.send({ id, question });
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  async stop(): Promise<void> {
    await stop(this.#child, () => this.#child.exitCode !== null || this.#child.signalCode !== null);
  }
}

/** The other end of `Worker`, for the file that runs there. */
export function answerQuestions<Question, Answer>(
  answerTo: (question: Question) => Promise<Answer> | Answer,
): void {
  const reply = async (id: number, question: Question): Promise<void> => {
    try {
      process.send?.({ id, answer: await answerTo(question) });
    } catch (error) {
      process.send?.({ id, fault: error instanceof Error ? error.message : String(error) });
    }
  };
  process.on("message", ({ id, question }: { id: number; question: Question }) => {
    void reply(id, question);
  });
  process.on("disconnect", () => process.exit());
}

async function stop(child: ChildProcess, ended: () => boolean): Promise<void> {
  if (ended()) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => kill(child, "SIGKILL"), STOP_MS);
    child.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
    kill(child, "SIGTERM");
  });
}

/** Signals the child and what it has started: each child leads a process group. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended.
  }
}

function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(AGENT_|TUNNEL_|NODE_OPTIONS)/.test(name)),
  );
}

/** Ticks a second in /proc; 100 on every Linux that Node runs on. */
const TICKS_PER_S = 100;

/** User and system time of processes that are alive, in ms, to a tick of 10 ms. */
export function cpuMs(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    // Behind the name, which may hold anything but is the last thing in parentheses; utime and stime are fields 14 and 15.
    const fields =
      read(`/proc/${pid}/stat`)
        ?.replace(/^.*\) /s, "")
        .split(" ") ?? [];
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  return (ticks * 1000) / TICKS_PER_S;
}

/** Resident memory of processes together, in MiB. */
export function residentMiB(pids: readonly number[]): number {
  let kB = 0;
  for (const pid of pids) {
    kB += Number(/^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1] ?? 0);
  }
  return kB / 1024;
}

/** `pid` and all processes below it, whose name matches. */
export function family(pid: number, name = /./): number[] {
  const parents = new Map<number, { parent: number; name: string }>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const found = /^\d+ \((.*)\) \S (\d+) /s.exec(read(`/proc/${entry}/stat`) ?? "");
    if (found !== null) {
      parents.set(Number(entry), { parent: Number(found[2]), name: found[1] ?? "" });
    }
  }
  const members = [pid];
  for (const member of members) {
    for (const [child, { parent }] of parents) if (parent === member) members.push(child);
  }
  return members.filter((member) => name.test(parents.get(member)?.name ?? ""));
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // The process has ended.
  }
}
