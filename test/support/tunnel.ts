/**
 * A whole tunnel on this machine: `agent edge` (real workerd), `agent connect`, and whatever origin a test gives.
 *
 * It drives the commands only as a user can: flags, files, events and signals.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { descendants } from "./memory.ts";
import { Program } from "./program.ts";
import type { Place } from "./raw-http.ts";

/** Starting workerd or Node on a busy machine takes its time. */
const START_MS = 30_000;

export interface TokenOptions {
  readonly service: string;
  readonly role?: "agent" | "visitor";
  readonly expires?: string;
}

export interface AgentOptions {
  readonly service: string;
  readonly port: number;
  /** More flags of `agent connect`. */
  readonly flags?: readonly string[];
  /** Another token than one made for the service. */
  readonly token?: string;
  /** Where it finds the edge when not directly: a relay before it. */
  readonly url?: string;
}

/** `agent edge` and the secret it runs with. */
export class Edge {
  readonly url: string;
  readonly port: number;
  readonly program: Program;
  readonly directory: string;
  readonly #started: Program[] = [];

  private constructor(program: Program, url: string, directory: string) {
    this.program = program;
    this.url = url;
    this.port = Number(new URL(url).port);
    this.directory = directory;
  }

  static async start(flags: readonly string[] = []): Promise<Edge> {
    const directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
    await writeFile(join(directory, "secret"), randomBytes(32).toString("hex"), { mode: 0o600 });
    return Edge.#startIn(directory, ["--port", "0", ...flags]);
  }

  /** The same on a socket that it is handed, which outlives it, and is handed to the next of `runs`. */
  static async startWithSocket(flags: readonly string[] = [], runs = 1): Promise<Edge> {
    const directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
    await writeFile(join(directory, "secret"), randomBytes(32).toString("hex"), { mode: 0o600 });
    return Edge.#startIn(directory, flags, (parameters) =>
      Program.agentWithSocket(parameters, { env: { HOLD_RUNS: String(runs) } }),
    );
  }

  /** Starts again after `program` has ended, on the same port and with the same secret. */
  async again(flags: readonly string[] = []): Promise<Edge> {
    return Edge.#startIn(this.directory, ["--port", String(this.port), ...flags]);
  }

  static async #startIn(
    directory: string,
    flags: readonly string[],
    run: (parameters: readonly string[]) => Program = (parameters) => Program.agent(parameters),
  ): Promise<Edge> {
    const program = run([
      "edge",
      "--secret-file",
      join(directory, "secret"),
      "--domain",
      "localhost",
      "--json",
      // Whoever wants to see what is in flight finish says so.
      "--drain",
      "500ms",
      ...flags,
    ]);
    try {
      const listening = await program.event("listening", undefined, 0, START_MS);
      return new Edge(program, String(listening["url"]), directory);
    } catch (error) {
      await program.stop();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** The process that runs the Worker and the objects. */
  get workerdPid(): number {
    const found = descendants(this.program.pid).find((entry) => entry.name.startsWith("workerd"));
    if (found === undefined) throw new Error("the edge has no workerd process");
    return found.pid;
  }

  /** Where a visitor asks for what a service's origin has. */
  place(service: string): Place {
    return { port: this.port, host: `127.0.0.1:${this.port}`, prefix: `/send/${service}` };
  }

  /** Where a visitor asks the edge itself. */
  get self(): Place {
    return { port: this.port, host: `127.0.0.1:${this.port}`, prefix: "" };
  }

  /** What `agent token` prints. */
  async token({ service, role = "agent", expires = "1h" }: TokenOptions): Promise<string> {
    const secret = join(this.directory, "secret");
    const program = Program.agent([
      "token",
      "--service",
      service,
      "--role",
      role,
      "--expires",
      expires,
      "--secret-file",
      secret,
    ]);
    const found = await program.line(/^\S+$/, START_MS);
    await program.exit();
    return found[0];
  }

  /** Starts `agent connect` and does not wait for it. */
  async dial({ service, port, flags = [], token, url = this.url }: AgentOptions): Promise<Program> {
    const tokenFile = join(this.directory, `token-${randomBytes(4).toString("hex")}`);
    await writeFile(tokenFile, token ?? (await this.token({ service })), { mode: 0o600 });
    const program = Program.agent([
      "connect",
      "--port",
      String(port),
      "--edge",
      url,
      "--service",
      service,
      "--token-file",
      tokenFile,
      "--json",
      ...flags,
    ]);
    this.#started.push(program);
    return program;
  }

  /** Starts `agent connect` and waits until it is connected. */
  async agent(options: AgentOptions): Promise<Program> {
    const program = await this.dial(options);
    await program.event("connected", undefined, 0, START_MS);
    return program;
  }

  /** Ends the edge and every agent that was started through it, and leaves no file. */
  async stop(): Promise<void> {
    await Promise.all([this.program, ...this.#started].map((program) => program.stop()));
    await rm(this.directory, { recursive: true, force: true });
  }
}
