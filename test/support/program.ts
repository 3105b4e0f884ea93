/**
 * A child process of the test: its JSON events, its complaints and its end.
 *
 * Whatever was started here is killed at the latest when the test's process exits.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { SOON_MS, Watch } from "./until.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const node = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url));
const holder = fileURLToPath(new URL("hold-socket.ts", import.meta.url));
const cli = fileURLToPath(new URL("../../bin/agent.js", import.meta.url));

/** One line of `--json` output. */
export interface ProgramEvent {
  readonly event: string;
  readonly at: number;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Where it runs; the project's root when undefined. */
  readonly cwd?: string;
  /** Makes it the leader of a process group, as a shell does: `interrupt` then reaches all of it. */
  readonly group?: boolean;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Program {
  readonly pid: number;
  /** Every event so far. */
  readonly events: ProgramEvent[] = [];
  /** Every line of stdout that is no event. */
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #watch = new Watch();
  readonly #title: string;
  #stderr = "";
  #exit: Exit | undefined;

  private constructor(title: string, child: ChildProcess) {
    this.#title = title;
    this.#child = child;
    if (child.pid === undefined) throw new Error(`${title} did not start`);
    this.pid = child.pid;
    running.add(child);
    if (child.stdout === null || child.stderr === null) throw new Error("output is piped");
    createInterface({ input: child.stdout }).on("line", (line) => this.#onLine(line));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-64 * 1024);
      this.#watch.changed();
    });
    // "close" comes after the last output, unlike "exit".
    child.on("close", (code, signal) => {
      running.delete(child);
      this.#exit = { code, signal };
      this.#watch.changed();
    });
  }

  static start(
    command: string,
    parameters: readonly string[],
    options: ProgramOptions = {},
  ): Program {
    // The variables of whoever runs the tests must not configure what is tested.
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !/^(AGENT_|TUNNEL_|NODE_OPTIONS|VITEST)/.test(name),
      ),
    );
    const child = spawn(command, parameters, {
      cwd: options.cwd ?? root,
      env: { ...inherited, ...options.env },
      detached: options.group === true,
      stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    child.stdin?.end(options.stdin);
    return new Program(`${command} ${parameters.join(" ")}`, child);
  }

  /** `agent <parameters>`, by the Node of this project. */
  static agent(parameters: readonly string[], options: ProgramOptions = {}): Program {
    return Program.start(node, [cli, ...parameters], options);
  }

  /** The same with a listening socket that it is handed, as by systemd. */
  static agentWithSocket(parameters: readonly string[], options: ProgramOptions = {}): Program {
    return Program.start(node, [holder, node, cli, ...parameters], options);
  }

  /** The first event of that name, of the past or to come, that comes at or after place `from` of `events`. */
  async event(
    name: string,
    matches: (event: ProgramEvent) => boolean = () => true,
    from = 0,
    ms = SOON_MS,
  ): Promise<ProgramEvent> {
    return this.#told(
      () => this.events.slice(from).find((event) => event.event === name && matches(event)),
      `event "${name}"`,
      ms,
    );
  }

  /** The first line of plain output that matches. */
  async line(pattern: RegExp, ms = SOON_MS): Promise<RegExpExecArray> {
    return this.#told(
      () => {
        for (const line of this.lines) {
          const found = pattern.exec(line);
          if (found !== null) return found;
        }
        return undefined;
      },
      `output like ${pattern}`,
      ms,
    );
  }

  /** What it has said to people (stderr) that matches. */
  async said(pattern: RegExp, ms = SOON_MS): Promise<RegExpExecArray> {
    return this.#told(() => pattern.exec(this.#stderr) ?? undefined, `words like ${pattern}`, ms);
  }

  /** How it ended, once it has. */
  async exit(ms = SOON_MS): Promise<Exit> {
    return this.#watch.until(() => this.#exit, `the end of ${this.#title}`, ms);
  }

  get ended(): boolean {
    return this.#exit !== undefined;
  }

  get stderr(): string {
    return this.#stderr;
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    if (!this.ended) this.#child.kill(signal);
  }

  /** What Ctrl-C does at a terminal: SIGINT to the whole process group. */
  interrupt(): void {
    if (!this.ended) process.kill(-this.pid, "SIGINT");
  }

  /** Ends it whatever it takes, and waits until it has ended. */
  async stop(): Promise<void> {
    this.kill("SIGTERM");
    try {
      await this.exit(5_000);
    } catch {
      this.kill("SIGKILL");
      await this.exit();
    }
  }

  #onLine(line: string): void {
    if (line.startsWith('{"event":')) this.events.push(JSON.parse(line) as ProgramEvent);
    else this.lines.push(line);
    this.#watch.changed();
  }

  /** What `read` finds in the output, unless the program ends or the time is over before. */
  async #told<T>(read: () => T | undefined, what: string, ms: number): Promise<T> {
    const look = (): T | undefined => {
      const found = read();
      if (found === undefined && this.#exit !== undefined)
        throw new Error(`it ended without ${what}`);
      return found;
    };
    try {
      return await this.#watch.until(look, what, ms);
    } catch (error) {
      throw this.#complaint(error instanceof Error ? error.message : String(error));
    }
  }

  #complaint(what: string): Error {
    const said = this.#stderr === "" ? "(nothing)" : this.#stderr;
    return new Error(
      `${this.#title}: ${what}\noutput: ${this.lines.slice(-5).join("\n")}\nevents: ${JSON.stringify(this.events.slice(-5))}\nstderr: ${said}`,
    );
  }
}
