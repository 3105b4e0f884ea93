/**
 * One exchange as it is kept: what was said of it, the beginnings of its bodies, and when what passed.
 *
 * It sees only what has happened already and copies what it keeps, so that the tunnel never waits for it.
 */
import type { Exchange } from "../../codec/exchange.ts";
import type { HeaderList, RequestHead, ResponseHead } from "../../codec/frame.ts";
import { headerValue } from "../../codec/headers.ts";
import type { Outcome } from "../origin/answer.ts";
import type { ExchangeWatch } from "../watch.ts";
import type {
  BodyInfo,
  Close,
  Direction,
  Kind,
  Message,
  Phase,
  Row,
  Stream,
  Timing,
} from "./api.ts";
import { ChunkLog } from "./chunk-log.ts";
import { FLOW_BYTES, FlowLog } from "./flow.ts";
import { KeptBody } from "./kept-body.ts";
import { kindOf, mediaType, type Reader, readerOf } from "./kinds.ts";
import { MessageLog, type Said } from "./message-log.ts";
import type { Slab } from "./slab.ts";
import { memoryOf } from "./text.ts";
import { outcomeInWords } from "./words.ts";

/** What the objects of one recording take, without what they hold. */
const BASE_BYTES = 1024;

/** What a header field takes beside its characters. */
const FIELD_BYTES = 48;

/** Whom a recording belongs to. */
export interface Keeper {
  /** For small copies. */
  readonly slab: Slab;
  /** So much more memory is taken; negative for less. */
  grew(bytes: number): void;
  /** There is something new to show. */
  changed(recording: Recording): void;
  /** It is over. */
  ended(recording: Recording): void;
}

export interface RecordingOptions {
  readonly id: number;
  readonly service: string;
  readonly exchange: Exchange;
  readonly keeper: Keeper;
  readonly replayOf: number;
}

export class Recording implements ExchangeWatch {
  readonly id: number;
  readonly service: string;
  readonly replayOf: number;
  readonly at = Date.now();
  /** The request's name at the edge and the origin. */
  readonly requestId: string;
  readonly request: RequestHead;
  readonly requestBody = new KeptBody();
  readonly responseBody = new KeptBody();
  /** What it is taken to hold of memory. */
  bytes = 0;
  response: ResponseHead | undefined;
  responseTrailers: HeaderList = [];
  outcome: Outcome | undefined;
  close: Close | undefined;
  /** Whether only what is known of the exchange is kept from now on. */
  dropped = false;
  /** Whether it is not kept any more. */
  forgotten = false;
  readonly #keeper: Keeper;
  readonly #openedMs = performance.now();
  #exchange: Exchange | undefined;
  #startedMs = -1;
  #connectedMs = -1;
  #lastReceivedMs = -1;
  #answeredMs = -1;
  #firstSentMs = -1;
  #lastSentMs = -1;
  #endedMs = -1;
  #stalledSinceMs = -1;
  #stalledMs = 0;
  #stalls = 0;
  #kind: Kind = "body";
  #chunks: ChunkLog | undefined;
  #flow: FlowLog | undefined;
  #messages: MessageLog | undefined;
  #parser: Reader | undefined;
  #note = "";

  constructor({ id, service, exchange, keeper, replayOf }: RecordingOptions) {
    this.id = id;
    this.service = service;
    this.replayOf = replayOf;
    this.requestId = exchange.id;
    this.request = exchange.request;
    this.#exchange = exchange;
    this.#keeper = keeper;
    const { path, headers } = exchange.request;
    this.#grow(BASE_BYTES + memoryOf(path) + sizeOf(headers));
  }

  get kind(): Kind {
    return this.#kind;
  }

  get phase(): Phase {
    if (this.#endedMs >= 0) return "over";
    if (this.#answeredMs >= 0) return "answering";
    if (this.#connectedMs >= 0) return "asked";
    return this.#startedMs >= 0 ? "connecting" : "waiting";
  }

  /** How long it has taken, so far or in all. */
  get ms(): number {
    return this.#endedMs >= 0 ? this.#endedMs : this.#now();
  }

  /** From the connection to the head of the answer; undefined without one. */
  get originMs(): number | undefined {
    if (this.#answeredMs < 0 || this.#connectedMs < 0) return undefined;
    return this.#answeredMs - this.#connectedMs;
  }

  /** Whether the origin is paused now. */
  get isStalled(): boolean {
    return this.#stalledSinceMs >= 0;
  }

  started(): void {
    this.#startedMs = this.#now();
  }

  connected(): void {
    // Another try: what the first one was sent is sent again.
    if (this.#connectedMs >= 0) {
      this.#grow(-this.requestBody.drop());
      this.requestBody.bytes = 0;
    }
    this.#connectedMs = this.#now();
    this.#keeper.changed(this);
  }

  received(bytes: Uint8Array): void {
    const now = this.#now();
    this.#lastReceivedMs = now;
    this.#passed(this.requestBody, bytes, "in", now);
  }

  answered(head: ResponseHead): void {
    this.#answeredMs = this.#now();
    this.response = head;
    this.#grow(sizeOf(head.headers));
    this.#kind = kindOf(head);
    if (this.#kind !== "body") this.#understand(head);
    this.#keeper.changed(this);
  }

  sent(bytes: Uint8Array): void {
    const now = this.#now();
    if (this.#firstSentMs < 0) this.#firstSentMs = now;
    this.#lastSentMs = now;
    this.#passed(this.responseBody, bytes, "out", now);
  }

  stalled(): void {
    if (this.isStalled) return;
    this.#stalledSinceMs = this.#now();
    this.#stalls++;
    this.#keeper.changed(this);
  }

  resumed(): void {
    this.#endStall(this.#now());
    this.#keeper.changed(this);
  }

  trailers(fields: HeaderList): void {
    this.responseTrailers = fields;
    this.#grow(sizeOf(fields));
  }

  ended(outcome: Outcome): void {
    const now = this.#now();
    this.#endStall(now);
    this.#endedMs = now;
    this.outcome = outcome;
    // It holds the session's buffers.
    this.#exchange = undefined;
    this.#parser = undefined;
    this.#keeper.ended(this);
  }

  /** Gives back the bodies and the stream; what is known of the exchange stays. */
  drop(): void {
    this.dropped = true;
    let bytes = this.requestBody.drop() + this.responseBody.drop();
    bytes += (this.#chunks?.bytes ?? 0) + (this.#messages?.bytes ?? 0);
    if (this.#flow !== undefined) bytes += FLOW_BYTES;
    this.#chunks = undefined;
    this.#flow = undefined;
    this.#messages = undefined;
    this.#parser = undefined;
    this.#grow(-bytes);
  }

  row(): Row {
    const { id, service, at, request, response, outcome, replayOf } = this;
    return {
      id,
      service,
      at,
      method: request.method,
      path: request.path,
      status: outcome?.status ?? response?.status ?? 0,
      phase: this.phase,
      kind: this.#kind,
      type: response === undefined ? "" : mediaType(response.headers),
      ms: rounded(this.ms),
      bytesIn: this.requestBody.bytes,
      bytesOut: this.responseBody.bytes,
      stalled: this.isStalled,
      outcome: outcome?.outcome ?? "",
      says: outcome === undefined ? "" : outcomeInWords(outcome),
      replayOf,
    };
  }

  timing(): Timing {
    const at = (ms: number): number | null => (ms < 0 ? null : rounded(ms));
    const now = this.isStalled ? this.#now() - this.#stalledSinceMs : 0;
    return {
      started: at(this.#startedMs),
      connected: at(this.#connectedMs),
      lastReceived: at(this.#lastReceivedMs),
      answered: at(this.#answeredMs),
      firstSent: at(this.#firstSentMs),
      lastSent: at(this.#lastSentMs),
      ended: at(this.#endedMs),
      stalledMs: rounded(this.#stalledMs + now),
      stalls: this.#stalls,
    };
  }

  /** Whether all of the request has been sent to the origin, as far as the request says. */
  get requestIsWhole(): boolean {
    const { length } = this.request;
    if (length === "none") return true;
    return typeof length === "number"
      ? this.requestBody.bytes === length
      : this.outcome?.outcome === "ok";
  }

  requestInfo(): BodyInfo {
    return infoOf(this.requestBody, this.request.headers, this.requestIsWhole);
  }

  responseInfo(): BodyInfo {
    const headers = this.response?.headers ?? [];
    return infoOf(this.responseBody, headers, this.outcome?.outcome === "ok");
  }

  stream(chunksFrom: number, messagesFrom: number): Stream {
    const open = this.#endedMs < 0;
    if (open && this.isStalled) {
      // What is held back now is seen now.
      const now = this.#now();
      this.#endStall(now);
      this.#stalledSinceMs = now;
    }
    return {
      row: this.row(),
      chunks: (this.#chunks?.read(chunksFrom) ?? []).map((chunk) => ({
        ...chunk,
        at: rounded(chunk.at),
      })),
      chunkCount: this.#chunks?.count ?? 0,
      messages: this.messages(messagesFrom),
      messageCount: this.#messages?.count ?? 0,
      note: this.dropped ? "memory ran short: the stream was dropped" : this.#note,
      flow: this.#flow?.read(open ? this.#now() : undefined) ?? null,
    };
  }

  messages(from = 0): Message[] {
    return (this.#messages?.read(from) ?? []).map((message) => ({
      ...message,
      at: rounded(message.at),
    }));
  }

  #passed(body: KeptBody, bytes: Uint8Array, direction: Direction, now: number): void {
    if (bytes.length === 0) return;
    if (this.dropped) {
      body.bytes += bytes.length;
    } else {
      this.#grow(body.add(bytes, this.#keeper.slab) + this.#log(bytes, direction, now));
      this.#read(bytes, direction);
    }
    this.#keeper.changed(this);
  }

  /** @returns the memory that it took */
  #log(bytes: Uint8Array, direction: Direction, now: number): number {
    const outgoing = this.#exchange?.outgoing;
    const credit = outgoing?.creditBytes ?? 0;
    const chunks = (this.#chunks ??= new ChunkLog());
    let took = -chunks.bytes;
    // A single chunk has no flow.
    if (chunks.count === 1) {
      took += FLOW_BYTES;
      this.#flow = new FlowLog();
      for (const first of chunks.read()) {
        this.#flow.add(first.at, first.direction, first.bytes, first.creditBytes);
      }
    }
    chunks.add(now, direction, bytes.length, credit, outgoing?.queuedBytes ?? 0);
    this.#flow?.add(now, direction, bytes.length, credit);
    return took + chunks.bytes;
  }

  /** A fault in what reads must not become one of the tunnel's. */
  #read(bytes: Uint8Array, direction: Direction): void {
    try {
      this.#parser?.(bytes, direction);
    } catch (error) {
      this.#parser = undefined;
      this.#note = `from here on it cannot be read: ${String(error)}`;
    }
  }

  #endStall(now: number): void {
    if (this.#stalledSinceMs < 0) return;
    this.#stalledMs += now - this.#stalledSinceMs;
    this.#flow?.stalled(this.#stalledSinceMs, now);
    this.#stalledSinceMs = -1;
  }

  /** From now on the body is read as what its head says that it is. */
  #understand(head: ResponseHead): void {
    const encoding = headerValue(head.headers, "content-encoding") ?? "identity";
    if (this.#kind !== "socket" && encoding !== "identity") {
      this.#note = `it is compressed (${encoding}): only its chunks can be seen`;
      return;
    }
    const messages = new MessageLog();
    this.#messages = messages;
    this.#parser = readerOf(this.#kind, {
      said: (said, direction) => {
        const before = messages.bytes;
        messages.add(this.#now(), direction, said);
        this.#grow(messages.bytes - before);
        if (said.kind === "close") this.#closed(said, direction);
      },
      faulty: (fault) => (this.#note = `from here on it cannot be read: ${fault}`),
    });
  }

  /** Who says it first closes. */
  #closed({ label, text }: Said, direction: Direction): void {
    this.close ??= {
      by: direction === "in" ? "visitor" : "origin",
      code: Number(label),
      reason: text,
    };
  }

  #grow(bytes: number): void {
    if (bytes === 0 || this.forgotten) return;
    this.bytes += bytes;
    this.#keeper.grew(bytes);
  }

  #now(): number {
    return performance.now() - this.#openedMs;
  }
}

function infoOf(body: KeptBody, headers: HeaderList, whole: boolean): BodyInfo {
  const { bytes, keptBytes } = body;
  return {
    bytes,
    keptBytes,
    whole: whole && keptBytes === bytes,
    type: headerValue(headers, "content-type") ?? "",
    encoding: headerValue(headers, "content-encoding") ?? "",
  };
}

function sizeOf(headers: HeaderList): number {
  let bytes = (headers.length / 2) * FIELD_BYTES;
  for (const text of headers) bytes += memoryOf(text);
  return bytes;
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
