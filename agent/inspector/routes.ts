/** The inspector's answers: the page, and the API of `docs/inspector.md`. Bodies are only ever sent as downloads. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as v from "valibot";
import { TunnelError } from "../../codec/errors.ts";
import { headerValue } from "../../codec/headers.ts";
import {
  INITIAL_WINDOW_BYTES,
  MAX_WINDOW_BYTES,
  PROTOCOL,
  REQUEST_CREDIT_BYTES,
} from "../../codec/limits.ts";
import { VERSION } from "../software.ts";
import type { Detail, List, Status } from "./api.ts";
import { type Capture, MOST_BYTES, MOST_EXCHANGES } from "./capture.ts";
import { curlOf } from "./curl.ts";
import { decoded } from "./decoded.ts";
import { type Door, guards } from "./door.ts";
import { harText } from "./har.ts";
import { MOST_BODY_BYTES } from "./kept-body.ts";
import { type Live, MOST_VIEWERS } from "./live.ts";
import type { LocalVisitor, Sent } from "./local-visitor.ts";
import { loadPage } from "./page.ts";
import type { Recording } from "./recording.ts";
import { editsSchema, REPLAY_FIELD, repeated, whyNoReplay } from "./replay.ts";
import { fieldsOf } from "./secrets.ts";
import type { Service } from "./service.ts";

/** An edited request's body may be larger than what is kept of one. */
const MOST_EDITS_BYTES = 2 * 1024 * 1024;

export interface RoutesOptions {
  readonly capture: Capture;
  readonly door: Door;
  readonly live: Live;
  readonly services: ReadonlyMap<string, Service>;
  readonly visitor: () => LocalVisitor;
}

/** Something is not as it should be: sent as it is. */
class Failed extends Error {
  readonly status: number;

  constructor(status: number, says: string) {
    super(says);
    this.status = status;
  }
}

export class Routes {
  readonly #options: RoutesOptions;
  readonly #since = Date.now();
  /** Ends replays that are under way. */
  readonly #stops = new Map<number, () => void>();

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  /** Answers one request, whatever it asks for. Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(guards)) response.setHeader(name, value);
    try {
      await this.#answer(request, response);
    } catch (error) {
      if (response.headersSent) {
        response.destroy();
        return;
      }
      const status = error instanceof Failed ? error.status : 500;
      const says = error instanceof Error ? error.message : String(error);
      if (request.url?.startsWith("/api/") === true) {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: says }));
      } else {
        response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
        response.end(`${says}\n`);
      }
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { door } = this.#options;
    const refusal = door.misplaced(request);
    if (refusal !== undefined) throw new Failed(refusal.status, refusal.says);
    const target = `http://inspector${request.url ?? "/"}`;
    if (!URL.canParse(target)) throw new Failed(400, "This is no address.");
    const url = new URL(target);
    const given = url.searchParams.get("t");
    if (url.pathname === "/" && given !== null && door.knows(given)) {
      // Out of the address line. Not by a redirect: behind a link on another site's page a strict cookie would not go with it.
      response.writeHead(200, { "content-type": "text/html", "set-cookie": door.cookie });
      response.end(
        '<!doctype html><meta http-equiv="refresh" content="0;url=/"><title>Sluice</title>',
      );
      return;
    }
    if (!door.admits(request)) {
      throw new Failed(
        401,
        "Open the inspector with the URL that the agent printed: it holds the token.",
      );
    }
    const { pathname: path } = url;
    if (path.startsWith("/api/")) {
      await this.#api(request, response, path.slice("/api/".length).split("/"), url);
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      throw new Failed(405, "Only GET is possible here.");
    }
    const file = (await loadPage()).get(path);
    if (file === undefined) throw new Failed(404, "There is nothing here.");
    response.writeHead(200, { "content-type": file.type });
    response.end(file.bytes);
  }

  async #api(
    request: IncomingMessage,
    response: ServerResponse,
    [what = "", number = "", part = ""]: readonly string[],
    url: URL,
  ): Promise<void> {
    const reveal = url.searchParams.get("reveal") === "1";
    const route = `${request.method ?? ""} ${what}${number === "" ? "" : "/id"}${part === "" ? "" : `/${part}`}`;
    switch (route) {
      case "GET status":
        return json(response, await this.#status());
      case "GET live":
        return this.#live(response);
      case "GET exchanges":
        return json(response, this.#list(url));
      case "DELETE exchanges":
        this.#options.capture.clear();
        this.#options.live.cleared();
        return void response.writeHead(204).end();
      case "GET har":
        return this.#har(response, url, reveal);
      case "GET exchanges/id":
        return json(response, this.#detail(this.#find(number), reveal));
      case "GET exchanges/id/stream": {
        const from = (name: string): number => Number(url.searchParams.get(name) ?? 0);
        return json(response, this.#find(number).stream(from("chunks"), from("messages")));
      }
      case "GET exchanges/id/curl":
        return text(response, this.#curl(this.#find(number), reveal));
      case "GET exchanges/id/request-body":
      case "GET exchanges/id/response-body":
        return this.#body(response, this.#find(number), part, url);
      case "POST exchanges/id/replay":
        return this.#replay(request, response, this.#find(number));
      case "POST exchanges/id/stop":
        this.#stops.get(Number(number))?.();
        return void response.writeHead(204).end();
      default:
        throw new Failed(404, "There is nothing here. See docs/inspector.md.");
    }
  }

  #find(number: string): Recording {
    const found = /^\d{1,15}$/.test(number) && this.#options.capture.find(Number(number));
    if (!found) throw new Failed(404, "This exchange is not kept any more.");
    return found;
  }

  #live(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (this.#options.live.join(response)) return;
    response.end(`event: full\ndata: ${JSON.stringify({ most: MOST_VIEWERS })}\n\n`);
  }

  #list(url: URL): List {
    const { capture } = this.#options;
    const limit = Number(url.searchParams.get("limit") ?? MOST_EXCHANGES);
    const rows = capture.newest(Number.isInteger(limit) && limit > 0 ? limit : MOST_EXCHANGES);
    return {
      rows: rows.map((recording) => recording.row()),
      seen: capture.seen,
      open: capture.open,
      forgotten: capture.seen - capture.size,
    };
  }

  #detail(recording: Recording, reveal: boolean): Detail {
    const { response } = recording;
    const service = this.#serviceOf(recording);
    const replays = this.#options.capture
      .newest()
      .filter(({ replayOf }) => replayOf === recording.id)
      .map(({ id }) => id);
    return {
      row: recording.row(),
      requestId: recording.requestId,
      publicUrl: this.#urlOf(recording),
      origin: service?.options.origin ?? "",
      request: {
        fields: fieldsOf(recording.request.headers, reveal),
        body: recording.requestInfo(),
      },
      response:
        response === undefined
          ? null
          : {
              status: response.status,
              reason: response.reason,
              fields: fieldsOf(response.headers, reveal),
              trailers: fieldsOf(recording.responseTrailers, reveal),
              body: recording.responseInfo(),
            },
      timing: recording.timing(),
      close: recording.close ?? null,
      noReplay: whyNoReplay(recording),
      replays,
      dropped: recording.dropped,
    };
  }

  async #status(): Promise<Status> {
    const { capture, services } = this.#options;
    return {
      version: VERSION,
      protocol: PROTOCOL,
      node: process.versions.node,
      since: this.#since,
      services: await Promise.all([...services.values()].map((service) => service.status())),
      requests: {
        seen: capture.seen,
        open: capture.open,
        failed: capture.failed,
        stalled: capture.newest().filter(({ isStalled }) => isStalled).length,
      },
      total: capture.total,
      origin: capture.origin,
      kept: {
        exchanges: capture.size,
        bytes: capture.bytes,
        mostExchanges: MOST_EXCHANGES,
        mostBytes: MOST_BYTES,
        mostBodyBytes: MOST_BODY_BYTES,
      },
      windows: {
        initial: INITIAL_WINDOW_BYTES,
        most: MAX_WINDOW_BYTES,
        request: REQUEST_CREDIT_BYTES,
      },
    };
  }

  async #har(response: ServerResponse, url: URL, reveal: boolean): Promise<void> {
    const id = url.searchParams.get("id");
    const recordings = id === null ? this.#options.capture.newest().reverse() : [this.#find(id)];
    const har = harText(recordings, { reveal, url: (recording) => this.#urlOf(recording) });
    const name = id === null ? "sluice.har" : `sluice-${id}.har`;
    response.writeHead(200, {
      "content-type": "application/json",
      "content-disposition": `attachment; filename="${name}"`,
    });
    await pipeline(Readable.from(har), response);
  }

  #curl(recording: Recording, reveal: boolean): string {
    const { request, requestBody } = recording;
    if (request.length === "socket") throw new Failed(409, "a WebSocket is no request for curl");
    if (requestBody.bytes > requestBody.keptBytes) throw new Failed(409, whyNoReplay(recording));
    const { method, headers } = request;
    const url = this.#urlOf(recording);
    return curlOf({ method, url, headers, body: requestBody.read(), reveal });
  }

  /** What was kept of a body, as it came or decoded; never as something that a browser would show. */
  #body(response: ServerResponse, recording: Recording, part: string, url: URL): void {
    const [body, headers] =
      part === "request-body"
        ? [recording.requestBody, recording.request.headers]
        : [recording.responseBody, recording.response?.headers ?? []];
    const raw = body.read();
    const encoding = headerValue(headers, "content-encoding") ?? "";
    const wanted = url.searchParams.get("decoded") === "1";
    const { bytes, fault } = wanted ? decoded(raw, encoding) : { bytes: raw, fault: "" };
    response.writeHead(200, {
      "content-type": "application/octet-stream",
      "content-disposition": `attachment; filename="${part}-${recording.id}.bin"`,
      "content-length": bytes.length,
      // It quotes the origin, whose words may have characters that no field of ours can.
      ...(fault === "" ? {} : { "sluice-inspector-note": fault.replaceAll(/[^\x20-\x7e]/g, "?") }),
    });
    response.end(bytes);
  }

  async #replay(
    request: IncomingMessage,
    response: ServerResponse,
    recording: Recording,
  ): Promise<void> {
    const given = await readBody(request);
    const edits = v.safeParse(editsSchema, given === "" ? {} : parseJson(given));
    if (!edits.success) throw new Failed(400, edits.issues[0].message);
    const serve = this.#serviceOf(recording)?.serve;
    if (serve === undefined) throw new Failed(409, "its service is not connected");
    const repeat = repeated(recording, definedOf(edits.output));
    if ("refusal" in repeat) throw new Failed(409, repeat.refusal);
    let id = 0;
    const { capture, visitor } = this.#options;
    const sent = await this.#send(() =>
      visitor().send(repeat.head, repeat.body, (exchange) => {
        capture.replays(exchange, recording.id);
        serve(exchange, [REPLAY_FIELD, String(recording.id)]);
        id = capture.seen;
      }),
    );
    if (id === 0) throw new Failed(503, "too many replays are under way");
    this.#stops.set(id, sent.stop);
    void sent.ended.then(() => this.#stops.delete(id));
    response.writeHead(201, { "content-type": "application/json" });
    response.end(JSON.stringify({ id }));
  }

  async #send(send: () => Promise<Sent>): Promise<Sent> {
    try {
      return await send();
    } catch (error) {
      if (error instanceof TunnelError)
        throw new Failed(409, error.note === "" ? error.message : error.note);
      throw error;
    }
  }

  #serviceOf({ service }: Recording): Service | undefined {
    return this.#options.services.get(service);
  }

  #urlOf(recording: Recording): string {
    const base = this.#serviceOf(recording)?.options.publicUrl ?? "http://localhost/";
    const { path } = recording.request;
    return path.startsWith("/") ? `${base.replace(/\/$/, "")}${path}` : base;
  }
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function text(response: ServerResponse, value: string): void {
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
  response.end(value);
}

function parseJson(given: string): unknown {
  try {
    return JSON.parse(given) as unknown;
  } catch {
    throw new Failed(400, "The changes are not JSON.");
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const piece = chunk as Buffer;
    bytes += piece.length;
    if (bytes > MOST_EDITS_BYTES) throw new Failed(413, "The changes are larger than 2 MiB.");
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Without those that are undefined. */
function definedOf<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const defined = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined) as { [K in keyof T]: Exclude<T[K], undefined> };
}
