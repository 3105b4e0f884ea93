/**
 * `/metrics` for Prometheus and `/ready` for whoever supervises the agent, on an address of their own.
 *
 * They need no token: there are numbers in them, the services' names and sessions, and nothing of any request. It measures nothing
 * itself.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, isIP } from "node:net";
import type { MetricsAddress } from "../config/metrics.ts";
import { UsageError } from "../config/usage.ts";
import type { Collector } from "./collector.ts";
import { CONTENT_TYPE, exposition } from "./exposition.ts";

/** Far more than scrape, and few enough to be no burden. */
const MAX_CONNECTIONS = 64;

export class MetricsServer {
  readonly #collector: Collector;
  readonly #server: Server;
  readonly #host: string;

  private constructor(collector: Collector, host: string) {
    this.#collector = collector;
    this.#host = host;
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.maxConnections = MAX_CONNECTIONS;
    // Whoever keeps a connection is no reason for the agent to stay.
    this.#server.unref();
  }

  /** @throws a sentence when it cannot listen there; UsageError when that cannot change by itself */
  static async start({ host, port }: MetricsAddress, collector: Collector): Promise<MetricsServer> {
    const server = new MetricsServer(collector, host);
    await server.#listen(port);
    return server;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://${this.#host.includes(":") ? `[${this.#host}]` : this.#host}:${port}/metrics`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error & { readonly code?: string }): void => {
        const where = `${this.#host}:${port}`;
        // The agent before this one may still drain: whoever tries again will succeed.
        if (error.code === "EADDRINUSE") {
          reject(
            new Error(
              `Metrics cannot be at ${where} (--metrics): another program listens there. Choose another port, or 0 for any free one.`,
            ),
          );
          return;
        }
        reject(
          new UsageError(
            `Metrics cannot be at ${where} (--metrics): ${error.message}. Give an address of this machine, like 127.0.0.1:9090.`,
          ),
        );
      };
      this.#server.once("error", failed).listen(port, this.#host, () => {
        this.#server.off("error", failed);
        resolve();
      });
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    // A page in a browser can make a name of its own lead here (DNS rebinding), but not an address.
    const { host } = request.headers;
    if (host !== undefined && !isOwnName(host, this.#host)) {
      send(response, 421, TEXT, "Ask for this by its address.\n");
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      send(response, 405, TEXT, "There is nothing here but to be read.\n");
      return;
    }
    switch ((request.url ?? "").split("?", 1)[0]) {
      case "/metrics":
        send(response, 200, CONTENT_TYPE, exposition(this.#collector.families()));
        break;
      case "/ready": {
        const readiness = this.#collector.readiness();
        const body = `${JSON.stringify(readiness)}\n`;
        send(response, readiness.ready ? 200 : 503, "application/json", body);
        break;
      }
      default:
        send(response, 404, TEXT, "There are /metrics and /ready.\n");
    }
  }
}

const TEXT = "text/plain; charset=utf-8";

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response
    .writeHead(status, {
      "content-type": type,
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    })
    .end(body);
}

/** Where others can reach us, names are given by them (a container's, a service's): only for this machine alone it is ours to say. */
function isOwnName(field: string, listens: string): boolean {
  if (!/^(?:127\.|::1$|localhost$)/.test(listens)) return true;
  const name = field.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return isIP(name) !== 0 || name.toLowerCase() === "localhost";
}
