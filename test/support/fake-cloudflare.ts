/**
 * As much of Cloudflare's API as wrangler asks for when it deploys one Worker and keeps its secrets, as wrangler 4.164 asks
 * and reads it. It says nothing about what the real one does.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

const WORKER = "/workers/scripts/sluice";

export class FakeCloudflare {
  /** Secrets of the Worker by name; undefined while there is no Worker. */
  secrets: Map<string, string> | undefined;
  /** What was uploaded with each deployment. */
  readonly uploads: string[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => {
      // What it was asked is no reason to end the tests.
      this.#answer(request, response).catch(() => response.writeHead(400).end());
    });
  }

  static async start(): Promise<FakeCloudflare> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FakeCloudflare(server);
  }

  /** With these wrangler comes here, and nowhere else. */
  get environment(): Record<string, string> {
    const { port } = this.#server.address() as AddressInfo;
    return {
      CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${port}`,
      CLOUDFLARE_ACCOUNT_ID: "a".repeat(32),
      CLOUDFLARE_API_TOKEN: "a-token",
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_HIDE_BANNER: "true",
      CI: "true",
    };
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const path = (request.url ?? "").replace(/\?.*$/, "").replace(/^\/accounts\/a+/, "");
    const result = this.#result(`${request.method} ${path}`, body);
    response.writeHead(result === undefined ? 404 : 200, { "content-type": "application/json" });
    const errors = result === undefined ? [{ code: 10_007, message: "script_not_found" }] : [];
    response.end(
      JSON.stringify({
        success: result !== undefined,
        errors,
        messages: [],
        result: result ?? null,
      }),
    );
  }

  /** Undefined for what is not there. */
  #result(asked: string, body: string): unknown {
    if (asked === `PUT ${WORKER}`) {
      this.secrets ??= new Map();
      this.uploads.push(body);
      return {
        id: "sluice",
        tag: "t",
        etag: "e",
        startup_time_ms: 5,
        deployment_id: "d".repeat(32),
      };
    }
    if (asked === "GET /workers/subdomain") return { subdomain: "jo" };
    if (this.secrets === undefined) return undefined;
    const names = Array.from(this.secrets.keys(), (name) => ({ name, type: "secret_text" }));
    switch (asked) {
      case `GET ${WORKER}/secrets`:
        return names;
      case `PUT ${WORKER}/secrets`: {
        const { name, text: value } = JSON.parse(body) as { name: string; text: string };
        this.secrets.set(name, value);
        return { name, type: "secret_text" };
      }
      case "GET /workers/services/sluice":
        return { default_environment: { script: { last_deployed_from: "wrangler" } } };
      case "GET /workers/workers/sluice":
        return {
          id: "w",
          name: "sluice",
          subdomain: { enabled: true, previews_enabled: false },
          references: { domains: [] },
        };
      case `POST ${WORKER}/subdomain`:
        return { enabled: true, previews_enabled: false };
      case `GET ${WORKER}/deployments`:
        return { deployments: [] };
      default:
        return {};
    }
  }
}
