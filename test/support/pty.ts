/**
 * A program at a terminal: a real pseudo-terminal of the system (util-linux's `script` opens it), whose output goes to a
 * `Vt`, with keys that can be pressed and a window that can be made smaller.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { SOON_MS, Watch } from "./until.ts";
import { Vt } from "./vt.ts";

const node = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url));
const cli = fileURLToPath(new URL("../../bin/agent.js", import.meta.url));

/** Why there is none here; undefined where there is. */
export const noPty: string | undefined =
  process.platform !== "linux"
    ? "only util-linux's `script` is known to us"
    : spawnSync("script", ["--version"]).error === undefined
      ? undefined
      : "`script` is not installed (util-linux, bsdutils)";

export interface PtyOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether there is a shell that could continue a stopped program, as a person's is; not so with `docker run -it`. */
  readonly jobs?: boolean;
}

export class Pty {
  readonly vt: Vt;
  /** All that was written, as it came. */
  raw = "";
  readonly #child: ChildProcess;
  readonly #watch = new Watch();
  #ended = false;

  private constructor(shell: string, { columns = 80, rows = 24, env = {} }: PtyOptions) {
    this.vt = new Vt(columns, rows);
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) =>
          !/^(AGENT_|TUNNEL_|NODE_OPTIONS|VITEST|CI$|NO_COLOR|FORCE_COLOR|npm_)/.test(name),
      ),
    );
    const setUp = `stty cols ${columns} rows ${rows}; echo "tty $(tty)"; `;
    this.#child = spawn("script", ["-q", "-e", "-c", setUp + shell, "/dev/null"], {
      env: { ...inherited, TERM: "xterm-256color", SHELL: "/bin/bash", ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.raw += text;
      this.vt.write(text);
      this.#watch.changed();
    });
    this.#child.on("close", () => {
      this.#ended = true;
      this.#watch.changed();
    });
  }

  /** Runs `agent <parameters>`, then says how it ended and how the terminal is left; `then` comes after that. */
  static agent(parameters: readonly string[], options: PtyOptions = {}, then = ""): Pty {
    const words = [node, cli, ...parameters].map((word) => `'${word}'`).join(" ");
    const started = `sh -c 'echo "pid $$"; exec "$@"' sh ${words}`;
    const after = `echo "ended with $?"; stty -a; ${then} echo "the end"`;
    const jobs = options.jobs === false ? "" : "set -m; ";
    return new Pty(`${jobs}${started}; ${after}`, options);
  }

  /** That of the agent. */
  async pid(): Promise<number> {
    return Number((await this.sees(/^pid (\d+)$/m))[1]);
  }

  press(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  async resize(columns: number): Promise<void> {
    const [, tty = ""] = await this.sees(/tty (\/dev\/\S+)/);
    this.vt.columns = columns;
    execFileSync("stty", ["-F", tty, "cols", String(columns)]);
  }

  /** What the terminal shows that matches, now or soon; what has scrolled out counts. */
  async sees(pattern: RegExp, ms = SOON_MS): Promise<RegExpExecArray> {
    try {
      return await this.#watch.until(() => pattern.exec(this.vt.text) ?? undefined, "", ms);
    } catch {
      throw new Error(`The terminal does not show ${pattern}, but:\n${this.vt.text}`);
    }
  }

  /** The terminal's settings as the program left them, the nth time that it ended or stopped. */
  async settings(nth = 0): Promise<string> {
    const pattern = new RegExp(`(?:[^]*?(speed [^]*?-?echoprt[^\\n]*)){${nth + 1}}`);
    return (await this.sees(pattern))[1] ?? "";
  }

  async end(): Promise<void> {
    await this.#watch.until(() => this.#ended || undefined, "the end of the terminal");
  }

  /** The window is closed. */
  close(): void {
    this.#child.kill("SIGKILL");
  }
}
