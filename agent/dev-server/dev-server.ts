/**
 * A development server that we start: its command, its port, its end.
 *
 * It runs in a process group of its own, so that signals come to it from us alone, and reach all of it. It gets none of the
 * tunnel's secrets.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { constants } from "node:os";
import { listeningPorts } from "./listening-ports.ts";
import { type LocalAddress, PrintedUrls } from "./printed-url.ts";
import { UsageError } from "../config/usage.ts";

/** A cold start of a large project takes this long, seldom longer. */
const LISTEN_TIMEOUT_MS = 60_000;

/** How often we look whether it listens. */
const LOOK_MS = 200;

/** A server that listens says where soon after, if it does at all. */
const PRINTS_WITHIN_MS = 2000;

/** What is left of its group when the command itself has ended may clear up for this long. */
const REST_MS = 2000;

const MAX_NAME_CHARS = 60;

export interface DevServerOptions {
  /** The program and its arguments; no shell reads them. */
  readonly command: readonly [string, ...string[]];
  /** Where it is known to listen: it gets that as PORT. */
  readonly port: number | undefined;
  /** It gets that as SLUICE_URL. */
  readonly publicUrl: string;
  /** What it says goes there. */
  readonly output: { readonly isTTY?: boolean; write(text: string): unknown };
  readonly environment: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
}

export class DevServer {
  /** Settles with its exit code, as a shell has it, when all of it is gone. Rejects with a UsageError when it cannot be started. */
  readonly ended: Promise<number>;
  /** The command, short enough for sentences. */
  readonly name: string;
  readonly #options: DevServerOptions;
  readonly #child: ChildProcess;
  readonly #printed: LocalAddress[] = [];
  #impatient: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(options: DevServerOptions) {
    this.#options = options;
    const [program, ...parameters] = options.command;
    this.name = nameOf(options.command);
    this.#child = spawn(program, parameters, {
      detached: true,
      env: environmentOf(options),
      // Processes of another group must not read from our terminal; one that waits for the end of stdin waits for ours.
      stdio: [process.stdin.isTTY ? "pipe" : "inherit", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      const urls = new PrintedUrls();
      stream?.setEncoding("utf8").on("data", (text: string) => {
        options.output.write(text);
        this.#printed.push(...urls.read(text));
      });
    }
    process.once("exit", this.#kill);
    this.ended = this.#end(program);
    // Whoever awaits it gets the error; nobody has to.
    this.ended.catch(() => {});
  }

  /**
   * Where it listens, once it does; undefined when it has ended before.
   * @throws Error when it does not in time; UsageError when it cannot be started
   */
  async listening(): Promise<LocalAddress | undefined> {
    const { timeoutMs = LISTEN_TIMEOUT_MS } = this.#options;
    const startedMs = performance.now();
    let listensSinceMs: number | undefined;
    while (!this.#ended) {
      const now = performance.now();
      const ports = this.#child.pid === undefined ? undefined : listeningPorts(this.#child.pid);
      if ((ports?.length ?? 0) > 0) listensSinceMs ??= now;
      const address = await this.#address(ports, now - (listensSinceMs ?? now));
      if (address !== undefined) return address;
      if (now - startedMs >= timeoutMs) throw new Error(this.#complaint(timeoutMs));
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, LOOK_MS);
      await Promise.race([promise, this.ended]);
      clearTimeout(timer);
    }
    await this.ended;
    return undefined;
  }

  /** Passes a signal on to all of it; what has not ended within `ms` is killed. */
  end(signal: NodeJS.Signals, ms: number): void {
    this.#signal(signal);
    this.#impatient ??= setTimeout(this.#kill, ms).unref();
  }

  kill(): void {
    this.#kill();
  }

  /** In this order: the port that we were told, what it printed and listens on, what it listens on and did not print. */
  async #address(
    ports: readonly number[] | undefined,
    listensForMs: number,
  ): Promise<LocalAddress | undefined> {
    const { port } = this.#options;
    if (port !== undefined) {
      if (!(await accepts(port))) return undefined;
      return this.#printed.find((each) => each.port === port) ?? { scheme: "http", port };
    }
    if (ports === undefined) {
      for (const each of this.#printed) if (await accepts(each.port)) return each;
      return undefined;
    }
    const printed = this.#printed.find((each) => ports.includes(each.port));
    if (printed !== undefined) return printed;
    const [lowest] = ports;
    if (lowest === undefined || listensForMs < PRINTS_WITHIN_MS) return undefined;
    return { scheme: "http", port: lowest };
  }

  #complaint(timeoutMs: number): string {
    const { port } = this.#options;
    const after = `${timeoutMs / 1000} s after "${this.name}" was started`;
    if (port !== undefined) return `Nothing listens on port ${port} of this machine ${after}.`;
    const [printed] = this.#printed;
    const said =
      printed === undefined
        ? "it has printed no address like http://localhost:3000"
        : `it has printed an address with port ${printed.port}, where it does not listen`;
    const looked = process.platform === "linux" ? ", and none of its processes listens" : "";
    return `No server was found ${after}: ${said}${looked}. If it runs elsewhere, as in a container, give its --port.`;
  }

  async #end(program: string): Promise<number> {
    try {
      const [code, signal] = (await once(this.#child, "exit")) as [number | null, NodeJS.Signals];
      await this.#rest();
      return code ?? 128 + constants.signals[signal];
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UsageError(
        `"${program}" cannot be started: ${reason}. The command behind -- is one that a terminal runs in this folder.`,
      );
    } finally {
      this.#ended = true;
      clearTimeout(this.#impatient);
      process.off("exit", this.#kill);
    }
  }

  /** Ends what the command has left behind. */
  async #rest(): Promise<void> {
    const deadlineMs = performance.now() + REST_MS;
    let alive = this.#signal("SIGTERM");
    while (alive && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      alive = this.#signal(0);
    }
    if (alive) this.#kill();
  }

  readonly #kill = (): void => void this.#signal("SIGKILL");

  /** Whether there is anything left that could get it. */
  #signal(signal: NodeJS.Signals | 0): boolean {
    const { pid } = this.#child;
    if (pid === undefined || this.#ended) return false;
    try {
      return process.kill(-pid, signal);
    } catch {
      return false;
    }
  }
}

function nameOf(command: readonly string[]): string {
  const line = command.join(" ").replaceAll(/\s+/g, " ");
  return line.length > MAX_NAME_CHARS ? `${line.slice(0, MAX_NAME_CHARS - 1)}…` : line;
}

function environmentOf({
  environment,
  port,
  publicUrl,
  output,
}: DevServerOptions): NodeJS.ProcessEnv {
  const {
    AGENT_TOKEN: _token,
    TUNNEL_SECRET: _secret,
    TUNNEL_SECRET_PREVIOUS: _previous,
    ...rest
  } = environment;
  // Its output is a pipe that leads to a terminal.
  const coloured = output.isTTY === true && (rest["NO_COLOR"] ?? "") === "";
  return {
    ...(coloured ? { FORCE_COLOR: "1" } : {}),
    ...rest,
    ...(port === undefined ? {} : { PORT: String(port) }),
    SLUICE_URL: publicUrl,
  };
}

/** Whether something accepts connections there. */
async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "localhost");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
