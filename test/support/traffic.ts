/**
 * Mixed traffic whose every byte is checked at both ends, and the origin that answers it.
 *
 * An exchange here either ends well, with exactly its bytes, or fails with a sentence that says how. The origin keeps the
 * ids that it has seen: none may come twice.
 */
import { createHash } from "node:crypto";
import {
  Agent as HttpAgent,
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { slice } from "../../bench/site/pattern.ts";
import type { Random } from "../simulation/random.ts";
import type { Place } from "./raw-http.ts";
import { Watch } from "./until.ts";

export const KINDS = ["small", "post", "download", "upload", "events", "duplex"] as const;
export type Kind = (typeof KINDS)[number];

/** One exchange to come. Its body is the endless pattern from `id` on. */
export interface Plan {
  readonly kind: Kind;
  readonly id: number;
  readonly bytes: number;
  /** The pause between two pieces: an event stream's beat, a slow reader's rest. */
  readonly pauseMs: number;
  /** How many bytes of the answer are read before the visitor goes away; undefined: all. */
  readonly cancelAfter?: number;
}

const PIECE_BYTES = 16 * 1024;

/** One prime step of the pattern for each exchange, so that no two have the same body. */
const startOf = (id: number): number => id * 7919;

function* pieces(id: number, bytes: number, pieceBytes = PIECE_BYTES): Generator<Uint8Array> {
  for (let at = 0; at < bytes; at += pieceBytes) {
    yield slice(startOf(id) + at, Math.min(pieceBytes, bytes - at));
  }
}

function hashOf(id: number, bytes: number): string {
  const hash = createHash("sha256");
  for (const piece of pieces(id, bytes)) hash.update(piece);
  return hash.digest("hex");
}

/** The origin of all traffic. */
export class TrafficOrigin {
  readonly port: number;
  /** How often each exchange has arrived. */
  readonly seen = new Map<number, number>();
  readonly #server: Server;
  readonly #watch = new Watch();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      request.on("error", () => {});
      response.on("error", () => {});
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<TrafficOrigin> {
    const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 1024, resolve));
    return new TrafficOrigin(server);
  }

  /** The exchanges that arrived more than once. */
  get doubled(): number[] {
    return [...this.seen].filter(([, times]) => times > 1).map(([id]) => id);
  }

  /** Resolves when the exchange has arrived. */
  async arrived(id: number): Promise<void> {
    await this.#watch.until(() => this.seen.has(id), `exchange ${id} at the origin`);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://origin");
    const number = (name: string): number => Number(url.searchParams.get(name));
    const id = number("id");
    const bytes = number("bytes");
    this.seen.set(id, (this.seen.get(id) ?? 0) + 1);
    this.#watch.changed();
    switch (url.pathname.slice(1) as Kind) {
      case "small":
        response.end(`answer ${id}`);
        return;
      case "post":
      case "upload": {
        const hash = createHash("sha256");
        for await (const chunk of request) hash.update(chunk as Buffer);
        response.end(hash.digest("hex"));
        return;
      }
      case "download":
        response.writeHead(200, id % 2 === 0 ? { "content-length": bytes } : {});
        for (const piece of pieces(id, bytes)) await write(response, piece);
        response.end();
        return;
      case "events":
        response.writeHead(200, { "content-type": "text/event-stream" });
        for (const piece of pieces(id, bytes, 100)) {
          await write(response, piece);
          await sleep(number("pause"));
        }
        response.end();
        return;
      case "duplex":
        response.writeHead(200);
        for await (const chunk of request) await write(response, chunk as Buffer);
        response.end();
        return;
      default:
        response.writeHead(404).end();
    }
  }
}

async function write(
  to: NodeJS.WritableStream & { readonly destroyed: boolean },
  bytes: Uint8Array,
): Promise<void> {
  if (to.write(bytes) || to.destroyed) return;
  const gone = new AbortController();
  const { signal } = gone;
  await Promise.race([once(to, "drain", { signal }), once(to, "close", { signal })]).finally(() =>
    gone.abort(),
  );
}

/** An exchange at random. */
export function planOf(random: Random, id: number, kinds: readonly Kind[] = KINDS): Plan {
  const kind = random.pick(kinds);
  const pauseMs = random.pick([0, 0, 1, 5]);
  switch (kind) {
    case "small":
      return { kind, id, bytes: 0, pauseMs: 0 };
    case "post":
      return { kind, id, bytes: random.skewed(1, 20_000), pauseMs: 0 };
    case "download":
    case "upload":
      return { kind, id, bytes: random.skewed(10_000, 8_000_000), pauseMs };
    case "events":
      return { kind, id, bytes: 100 * random.between(5, 50), pauseMs: random.between(5, 40) };
    case "duplex":
      return { kind, id, bytes: random.skewed(10_000, 2_000_000), pauseMs };
  }
}

/** Sends exchanges to one place and checks what comes back. */
export class Traffic {
  readonly #place: Place;
  readonly #agent = new HttpAgent({ keepAlive: true, maxSockets: 500 });
  /** Bytes of bodies that came back right. */
  bytes = 0;

  constructor(place: Place) {
    this.#place = place;
  }

  /** Resolves with undefined when all was right, else with what was not. */
  async run(plan: Plan): Promise<string | undefined> {
    try {
      await this.#run(plan);
      return undefined;
    } catch (error) {
      return `${plan.kind} ${plan.id} (${plan.bytes} bytes): ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  stop(): void {
    this.#agent.destroy();
  }

  async #run({ kind, id, bytes, pauseMs, cancelAfter }: Plan): Promise<void> {
    const sends = kind === "post" || kind === "upload" || kind === "duplex";
    const request = httpRequest({
      host: "127.0.0.1",
      port: this.#place.port,
      path: `${this.#place.prefix}/${kind}?id=${id}&bytes=${bytes}&pause=${pauseMs}`,
      method: sends ? "POST" : "GET",
      headers: {
        host: this.#place.host,
        ...(sends && kind !== "duplex" && id % 2 === 0 ? { "content-length": bytes } : {}),
      },
      agent: this.#agent,
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.on("response", resolve);
      request.on("error", reject);
    });
    // Whoever fails first is told of by the answer.
    const sent = (sends ? this.#send(request, id, bytes, pauseMs) : Promise.resolve()).then(() =>
      request.end(),
    );
    sent.catch(() => {});
    const answer = await answered;
    const hash = createHash("sha256");
    let got = 0;
    let text = "";
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      got += chunk.length;
      if (kind === "download" || kind === "events" || kind === "duplex") hash.update(chunk);
      else text += chunk.toString("latin1");
      if (cancelAfter !== undefined && got >= cancelAfter) {
        request.destroy();
        return;
      }
      if (kind === "download" && pauseMs > 0) await sleep(pauseMs);
    }
    if (answer.statusCode !== 200) {
      throw new Error(
        `${answer.statusCode} ${String(answer.headers["sluice-error"])} ${text.slice(0, 100)}`,
      );
    }
    // What Node says of a cut body: an error, mostly, and this always.
    if (!answer.complete) throw new Error(`cut after ${got} bytes`);
    this.#check({ kind, id, bytes, pauseMs }, text, got, hash.digest("hex"));
    this.bytes += got + (sends && kind !== "duplex" ? bytes : 0);
  }

  #check({ kind, id, bytes }: Plan, text: string, got: number, hash: string): void {
    const isRight =
      kind === "small"
        ? text === `answer ${id}`
        : kind === "post" || kind === "upload"
          ? text === hashOf(id, bytes)
          : got === bytes && hash === hashOf(id, bytes);
    if (!isRight) throw new Error(`CORRUPTED: ${got} bytes ${hash} ${text.slice(0, 100)}`);
  }

  async #send(
    request: ReturnType<typeof httpRequest>,
    id: number,
    bytes: number,
    pauseMs: number,
  ): Promise<void> {
    for (const piece of pieces(id, bytes)) {
      await write(request, piece);
      if (pauseMs > 0) await sleep(pauseMs);
    }
  }
}
