/**
 * The inspector: keeps what passes, and shows it on a page of this machine.
 *
 * It listens on 127.0.0.1 alone. While nobody looks it costs what `Recording` copies, and nothing else.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { AgentEvent } from "../events.ts";
import type { Watch } from "../watch.ts";
import { Capture } from "./capture.ts";
import { Door } from "./door.ts";
import { Live } from "./live.ts";
import { LocalVisitor } from "./local-visitor.ts";
import { Routes } from "./routes.ts";
import { Service, type ServeReplay, type ServiceOptions } from "./service.ts";

const HOST = "127.0.0.1";

/** Where one finds it. */
export const INSPECTOR_PORT = 4040;

/** So many ports are tried; then the system chooses. */
const TRIES = 10;

/** What an agent gets of the inspector. */
export interface Seat {
  /** Sees the exchanges of its service. */
  readonly watch: Watch;
  /** To be told what the agent reports. */
  report(event: AgentEvent): void;
  /** From now on its exchanges can be replayed. */
  serves(serve: ServeReplay): void;
}

export class Inspector {
  readonly #capture = new Capture();
  readonly #door = new Door();
  readonly #live = new Live(this.#capture);
  readonly #services = new Map<string, Service>();
  readonly #server: Server;
  #visitor: LocalVisitor | undefined;

  private constructor() {
    const routes = new Routes({
      capture: this.#capture,
      door: this.#door,
      live: this.#live,
      services: this.#services,
      visitor: () => (this.#visitor ??= new LocalVisitor()),
    });
    this.#server = createServer((request, response) => void routes.answer(request, response));
    // A browser that keeps a connection is no reason for the agent to stay.
    this.#server.unref();
  }

  /** Listens on `port`, or on the next one that is free; on any for 0. */
  static async start(port = INSPECTOR_PORT): Promise<Inspector> {
    const inspector = new Inspector();
    await inspector.#listen(port);
    return inspector;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What to open, with the token. */
  get url(): string {
    return `http://${HOST}:${this.port}/?t=${this.#door.token}`;
  }

  /** Takes a place for one service. */
  seat(options: ServiceOptions): Seat {
    const service = new Service(options);
    this.#services.set(options.service, service);
    return {
      watch: this.#capture.of(options.service),
      report: (event) => {
        if (service.report(event)) this.#live.status();
      },
      serves: (serve) => (service.serve = serve),
    };
  }

  async close(): Promise<void> {
    this.#live.close();
    this.#visitor?.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #listen(wanted: number): Promise<void> {
    const last = wanted === 0 ? 0 : Math.min(65_535, wanted + TRIES - 1);
    for (let port = wanted; port <= last; port++) {
      if (await this.#tryPort(port)) return;
    }
    if (!(await this.#tryPort(0))) throw new Error("The inspector found no free port.");
  }

  /** False: another program has it, or we may not. */
  #tryPort(port: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const refused = (error: Error & { readonly code?: string }): void => {
        if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(false);
        else reject(error);
      };
      this.#server.once("error", refused).listen(port, HOST, () => {
        this.#server.off("error", refused);
        this.#door.port = this.port;
        resolve(true);
      });
    });
  }
}
