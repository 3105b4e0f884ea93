/**
 * A visitor down to the bytes: sends exactly what it is given and reads the answer as it stands on the wire, so that
 * an answer from the origin and the same answer through the tunnel can be compared.
 *
 * It repairs nothing, follows nothing and decodes nothing but the framing. Strings are latin-1: one char, one byte.
 */
import { connect, type Socket } from "node:net";
import { reset } from "../../bench/site/reset.ts";
import { SOON_MS, Watch } from "./until.ts";

export type Field = readonly [name: string, value: string];

export interface AnswerHead {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly Field[];
}

/** How the end of a body is told. */
export type Framing = "length" | "chunked" | "close" | "none";

/** `complete`: the last chunk or the last byte of the length came; `cut`: the connection ended before. */
export type Ending = "complete" | "cut";

export interface Part {
  /** `performance.now()` of its arrival. */
  readonly at: number;
  readonly bytes: Buffer;
}

export interface Answer extends AnswerHead {
  readonly interim: readonly AnswerHead[];
  readonly framing: Framing;
  readonly body: Buffer;
  readonly bodyBytes: number;
  readonly parts: readonly Part[];
  readonly ended: Ending;
}

/** The values of all fields of that name, in order. */
export function values(fields: readonly Field[], name: string): string[] {
  return fields.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value);
}

type ParserState = "head" | "length" | "size" | "chunk" | "chunk-end" | "trailers" | "close";

/** Reads one answer from the bytes of a connection. */
class AnswerParser {
  readonly interim: AnswerHead[] = [];
  readonly parts: Part[] = [];
  head: AnswerHead | undefined;
  framing: Framing = "none";
  bodyBytes = 0;
  ended: Ending | undefined;

  readonly #method: string;
  readonly #keepBody: boolean;
  #state: ParserState = "head";
  #held: Buffer = Buffer.alloc(0);
  #remaining = 0;

  constructor(method: string, keepBody: boolean) {
    this.#method = method;
    this.#keepBody = keepBody;
  }

  /** Takes what arrived; gives back what lies behind the end of the answer. */
  feed(data: Buffer): Buffer {
    let rest = this.#held.length === 0 ? data : Buffer.concat([this.#held, data]);
    this.#held = Buffer.alloc(0);
    while (rest.length > 0 && this.ended === undefined) {
      const taken = this.#step(rest);
      if (taken === 0) {
        this.#held = Buffer.from(rest);
        return Buffer.alloc(0);
      }
      rest = rest.subarray(taken);
    }
    return rest;
  }

  /** The connection ended. */
  eof(): void {
    this.ended ??= this.#state === "close" ? "complete" : "cut";
  }

  #step(rest: Buffer): number {
    switch (this.#state) {
      case "head": {
        const end = rest.indexOf("\r\n\r\n");
        if (end < 0) return 0;
        this.#onHead(rest.toString("latin1", 0, end));
        return end + 4;
      }
      case "size": {
        const end = rest.indexOf("\r\n");
        if (end < 0) return 0;
        this.#remaining = Number.parseInt(rest.toString("latin1", 0, end), 16);
        if (Number.isNaN(this.#remaining)) throw new Error("a chunk has no size");
        this.#state = this.#remaining === 0 ? "trailers" : "chunk";
        return end + 2;
      }
      case "chunk-end":
        if (rest.length < 2) return 0;
        this.#state = "size";
        return 2;
      case "trailers": {
        const end = rest.indexOf("\r\n");
        if (end < 0) return 0;
        if (end === 0) this.ended = "complete";
        return end + 2;
      }
      case "length":
      case "chunk": {
        const bytes = rest.subarray(0, this.#remaining);
        this.#onBody(bytes);
        this.#remaining -= bytes.length;
        if (this.#remaining === 0) {
          if (this.#state === "chunk") this.#state = "chunk-end";
          else this.ended = "complete";
        }
        return bytes.length;
      }
      case "close":
        this.#onBody(rest);
        return rest.length;
    }
  }

  #onHead(text: string): void {
    const [line = "", ...lines] = text.split("\r\n");
    const found = /^HTTP\/1\.[01] (\d{3}) ?(.*)$/s.exec(line);
    if (found === null) throw new Error(`not a status line: ${JSON.stringify(line)}`);
    const fields = lines.map((field): Field => {
      const colon = field.indexOf(":");
      return [field.slice(0, colon), field.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")];
    });
    const head = { status: Number(found[1]), reason: found[2] ?? "", fields };
    if (head.status < 200 && head.status !== 101) {
      this.interim.push(head);
      return;
    }
    this.head = head;
    const length = values(fields, "content-length")[0];
    if (this.#method === "HEAD" || head.status === 204 || head.status === 304) {
      this.ended = "complete";
    } else if (values(fields, "transfer-encoding").includes("chunked")) {
      this.framing = "chunked";
      this.#state = "size";
    } else if (length !== undefined) {
      this.framing = "length";
      this.#state = "length";
      this.#remaining = Number(length);
      if (this.#remaining === 0) this.ended = "complete";
    } else {
      this.framing = "close";
      this.#state = "close";
    }
  }

  #onBody(bytes: Buffer): void {
    this.bodyBytes += bytes.length;
    if (this.#keepBody) this.parts.push({ at: performance.now(), bytes: Buffer.from(bytes) });
  }
}

export interface RequestParts {
  readonly method?: string;
  /** From the origin's point of view: begins with a slash. */
  readonly target?: string;
  readonly fields?: readonly Field[];
  /** Sent with a Content-Length, unless `chunked`. */
  readonly body?: string | Buffer;
  /** Sends `body` as one chunk and the last chunk. */
  readonly chunked?: boolean;
}

/** One chunk of a chunked body; the empty one is the last. */
export function chunk(bytes: string | Buffer = ""): Buffer {
  const payload = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, "latin1");
  return Buffer.concat([
    Buffer.from(`${payload.length.toString(16)}\r\n`),
    payload,
    Buffer.from("\r\n"),
  ]);
}

/** The head alone, with its empty line. */
export function requestHead(
  method: string,
  target: string,
  host: string,
  fields: readonly Field[] = [],
): string {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`;
}

/** Where a visitor connects and how an origin's target is asked for there. */
export interface Place {
  readonly port: number;
  readonly host: string;
  /** What stands before the origin's target: "" or "/send/<service>". */
  readonly prefix: string;
}

/** One TCP connection of a visitor. */
export class Visitor {
  readonly socket: Socket;
  readonly place: Place;
  readonly #watch = new Watch();
  #answer: AnswerParser | undefined;
  #beyond: Buffer = Buffer.alloc(0);
  #broken: Error | undefined;
  #closed = false;

  private constructor(place: Place, socket: Socket) {
    this.place = place;
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (data: Buffer) => this.#onData(data));
    socket.on("error", () => {});
    // An end without a last byte of the answer is a cut, whether it came as FIN or as RST.
    const over = (): void => {
      this.#closed = true;
      this.#answer?.eof();
      this.#watch.changed();
    };
    socket.on("end", over);
    socket.on("close", over);
  }

  static async connect(place: Place): Promise<Visitor> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ host: "127.0.0.1", port: place.port, allowHalfOpen: true }, resolve);
    socket.once("error", reject);
    await promise;
    socket.off("error", reject);
    return new Visitor(place, socket);
  }

  /** One request on a connection of its own, until its answer has ended. */
  static async ask(place: Place, request: RequestParts = {}, ms = SOON_MS): Promise<Answer> {
    const visitor = await Visitor.connect(place);
    try {
      visitor.request(request);
      return await visitor.answer(ms);
    } finally {
      visitor.leave();
    }
  }

  /** Sends a whole request; `answer()` and the others then speak of its answer. */
  request(request: RequestParts, keepBody = true): void {
    const { body, chunked = false } = request;
    const fields = [...(request.fields ?? [])];
    if (chunked) fields.push(["Transfer-Encoding", "chunked"]);
    else if (body !== undefined) fields.push(["Content-Length", String(Buffer.byteLength(body))]);
    this.begin(request.method ?? "GET", request.target ?? "/", fields, keepBody);
    if (chunked) {
      if (body !== undefined && body.length > 0) this.write(chunk(body));
      this.write(chunk());
    } else if (body !== undefined) {
      this.write(body);
    }
  }

  /** Sends a head; the body, if any, is left to `write`. */
  begin(method: string, target: string, fields: readonly Field[] = [], keepBody = true): void {
    this.expect(method, keepBody);
    this.write(requestHead(method, this.place.prefix + target, this.place.host, fields));
  }

  /** Awaits an answer without sending anything: the caller writes the request's bytes itself. */
  expect(method = "GET", keepBody = true): void {
    this.#answer = new AnswerParser(method, keepBody);
    if (this.#beyond.length > 0) this.#onData(this.#beyond);
  }

  write(bytes: string | Buffer): void {
    this.socket.write(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, "latin1"));
  }

  /** The head of the answer, as soon as it is here. */
  async head(ms = SOON_MS): Promise<AnswerHead> {
    return this.#until((answer) => answer.head, "the head of the answer", ms);
  }

  /** The interim answers that have come before the head, at least `count`. */
  async interim(count: number, ms = SOON_MS): Promise<readonly AnswerHead[]> {
    return this.#until(
      (answer) => answer.interim.length >= count && answer.interim,
      `interim answer ${count}`,
      ms,
    );
  }

  /** The body so far, as soon as it has `bytes`. */
  async received(bytes: number, ms = SOON_MS): Promise<Buffer> {
    return this.#until(
      (answer) =>
        answer.bodyBytes >= bytes && Buffer.concat(answer.parts.map((part) => part.bytes)),
      `${bytes} bytes of the answer's body`,
      ms,
    );
  }

  /** The whole answer, when it has ended one way or the other. */
  async answer(ms = SOON_MS): Promise<Answer> {
    const ended = await this.#until(
      (answer) => answer.ended !== undefined && answer,
      "the end",
      ms,
    );
    const { head, interim, parts, framing, bodyBytes, ended: how } = ended;
    if (head === undefined || how === undefined) {
      throw new Error("the connection ended before the head of an answer");
    }
    const body = Buffer.concat(parts.map((part) => part.bytes));
    return { ...head, interim, parts, framing, bodyBytes, body, ended: how };
  }

  /** The same, or undefined when the connection ended before the head of an answer. */
  async fate(ms = SOON_MS): Promise<Answer | undefined> {
    await this.#watch.until(() => this.#answer?.ended !== undefined, "the end of the answer", ms);
    return this.#answer?.head === undefined ? undefined : this.answer(ms);
  }

  /** How many bytes of the answer's body have come. */
  get bodyBytes(): number {
    return this.#answer?.bodyBytes ?? 0;
  }

  /** Resolves when the other end has closed the connection. */
  async closed(ms = SOON_MS): Promise<void> {
    await this.#watch.until(() => this.#closed, "the connection's end", ms);
  }

  /** Goes away as a browser does: the kernel sends FIN (and RST to whatever comes later). */
  leave(): void {
    this.socket.destroy();
  }

  /** Goes away with RST. */
  reset(): void {
    reset(this.socket);
  }

  async #until<T>(
    read: (answer: AnswerParser) => T | undefined | false,
    what: string,
    ms: number,
  ): Promise<T> {
    return this.#watch.until(
      () => {
        if (this.#broken !== undefined) throw this.#broken;
        if (this.#answer === undefined) throw new Error("no request was sent");
        const value = read(this.#answer);
        if ((value === undefined || value === false) && this.#closed) {
          throw new Error(`the connection ended before ${what}`);
        }
        return value;
      },
      what,
      ms,
    );
  }

  #onData(data: Buffer): void {
    if (this.#answer === undefined || this.#answer.ended !== undefined) {
      this.#beyond = Buffer.concat([this.#beyond, data]);
      return;
    }
    try {
      this.#beyond = this.#answer.feed(data);
      if (this.#closed) this.#answer.eof();
    } catch (error) {
      this.#broken = error instanceof Error ? error : new Error(String(error));
    }
    this.#watch.changed();
  }
}
