/**
 * Single keys, for as long as a person sits before the terminal. The terminal is as it was whenever we are not looking:
 * after the end, while we are stopped (Ctrl-Z), in the background.
 *
 * In raw mode the terminal sends no signals: Ctrl-C, Ctrl-\ and Ctrl-Z are keys, and made into signals here.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { ReadStream } from "node:tty";

/** Whoever still runs so long after a stop was not stopped, or runs again. */
const UNSTOPPED_MS = 200;

export interface KeysOptions {
  readonly stdin: ReadStream;
  readonly press: (key: string) => void;
  /** The terminal is about to belong to somebody else. */
  readonly leave: () => void;
  /** It is ours again. */
  readonly enter: () => void;
}

export class Keys {
  readonly #options: KeysOptions;
  #raw = false;

  constructor(options: KeysOptions) {
    this.#options = options;
  }

  /** Listens from now on. What ends the process in an orderly way, a crash included, gives the terminal back. */
  start(): void {
    const { stdin } = this.#options;
    process.once("exit", () => this.#cook());
    process.on("SIGCONT", () => {
      this.#cookedElsewhere();
      this.#takeBack();
    });
    // A terminal that is gone is told by SIGHUP (`signals.ts`).
    stdin.on("error", () => {});
    stdin.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    stdin.unref();
    this.#grab();
  }

  #read(text: string): void {
    for (const key of text) this.#signal(key);
    // Several characters at once were pasted, or are an arrow key: not meant for us. A key that is held down is.
    const [key = ""] = text;
    if (text === key.repeat(text.length)) this.#options.press(key);
  }

  #signal(key: string): void {
    switch (key) {
      case "\u0003":
        interrupt();
        break;
      case "\u001c":
        this.#cook();
        process.kill(process.pid, "SIGQUIT");
        break;
      case "\u001a":
        // Windows has no jobs.
        if (process.platform === "win32") break;
        this.#options.leave();
        this.#cook();
        // To all of the job: the shell waits for `npx` or npm before us.
        process.kill(0, "SIGTSTP");
        // Where no shell could continue us (`docker run -it`, `ssh -t host agent …`) the system stops nobody, and says nothing.
        setTimeout(() => this.#takeBack(), UNSTOPPED_MS).unref();
        break;
    }
  }

  #takeBack(): void {
    if (this.#grab()) this.#options.enter();
  }

  /** Takes the terminal, unless we are in the background: who touches it there is stopped. */
  #grab(): boolean {
    if (this.#raw || !inForeground()) return false;
    this.#options.stdin.setRawMode(true);
    this.#options.stdin.resume();
    this.#raw = true;
    return true;
  }

  #cook(): void {
    if (!this.#raw) return;
    this.#raw = false;
    this.#options.stdin.setRawMode(false);
  }

  /** After a stop that was none of ours the shell has made the terminal its own; Node does not know. */
  #cookedElsewhere(): void {
    if (this.#raw && inForeground()) this.#cook();
  }
}

/** What Ctrl-C does where it is no key: whoever listens to SIGINT hears of it. Windows cannot send it to a process. */
export function interrupt(): void {
  process.emit("SIGINT", "SIGINT");
}

/** Whether the terminal is this job's. */
function inForeground(): boolean {
  if (process.platform === "linux") {
    const stat = readFileSync("/proc/self/stat", "utf8");
    // Behind the name, which may hold anything: state, parent, group, session, terminal, the terminal's group.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[2] === fields[5];
  }
  try {
    const parameters = ["-o", "pgid=,tpgid=", "-p", String(process.pid)];
    const said = execFileSync("ps", parameters, { encoding: "utf8", timeout: 1000 });
    const [group, terminals] = said.trim().split(/\s+/);
    return group === terminals;
  } catch {
    return true;
  }
}
