/**
 * What lies between undici and its sockets: it tells a connection that ended unused from one that died at work, and takes
 * out a `100 Continue` that nobody asked for, which undici would end the connection for (RFC 9110 section 15.2 has clients
 * expect it).
 *
 * Nothing but heads is looked at, and only at the first bytes behind a request: one request is on a connection at a time.
 */
import type { Socket } from "node:net";
import { buildConnector } from "undici";

/** How far a connection had come when it failed. */
export interface LastWords {
  /** Whether it had answered requests before. */
  readonly reused: boolean;
  /** Whether no byte of an answer to the present one had come. */
  readonly silent: boolean;
}

const lastWords = new WeakMap<Error, LastWords>();

/** What is known of the connection that ended with `error`; undefined when there was none. */
export function lastWordsOf(error: Error): LastWords | undefined {
  return lastWords.get(error);
}

/** undici's own connector, with an ear on each socket. */
export function createConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const connect = buildConnector(options);
  return (target, callback) => {
    connect(target, (...connected) => {
      if (connected[0] === null) listen(connected[1]);
      callback(...connected);
    });
  };
}

function listen(socket: Socket): void {
  let reused = false;
  /** Nothing but a 100 has come since the last write. */
  let beforeHead = false;
  let silent = true;
  const filter = new ContinueFilter();
  const write = socket.write.bind(socket) as (...parameters: unknown[]) => boolean;
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  socket.write = (...parameters: unknown[]): boolean => {
    reused ||= !silent;
    silent = true;
    beforeHead = true;
    return write(...parameters);
  };
  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const chunk = read(size);
      if (chunk === null || !beforeHead) return chunk;
      silent = false;
      const rest = filter.pass(chunk);
      if (rest === undefined) continue;
      beforeHead = false;
      return rest;
    }
  };
  // undici reports the same object when the socket has closed.
  socket.on("error", (error) => lastWords.set(error, { reused, silent }));
}

/** As far as a 100 can be told from other heads; the minor version is left open. */
const BEGINNING = "HTTP/1.";
const CONTINUE = /^HTTP\/1\.\d 100[ \r]/;
const CONTINUE_CHARS = "HTTP/1.1 100 ".length;
/** Where the first digit of the status stands. */
const STATUS_AT = "HTTP/1.1 ".length;
const ONE = 0x31;
/** A 100 has next to no fields. */
const MAX_CONTINUE_BYTES = 4096;

/** Drops heads of status 100 in front of an answer, however they are cut into chunks. */
export class ContinueFilter {
  #held: Buffer | undefined;

  /** What is left of `chunk`, from the first byte of another head on; undefined when more has to come to know. */
  pass(chunk: Buffer): Buffer | undefined {
    // Almost every answer.
    if (this.#held === undefined && chunk.length > STATUS_AT && chunk[STATUS_AT] !== ONE) {
      return chunk;
    }
    let bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = undefined;
    while (bytes.length >= CONTINUE_CHARS) {
      if (!CONTINUE.test(bytes.toString("latin1", 0, CONTINUE_CHARS))) return bytes;
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0 && bytes.length > MAX_CONTINUE_BYTES) return bytes;
      if (end < 0) break;
      bytes = bytes.subarray(end + 4);
    }
    if (!BEGINNING.startsWith(bytes.toString("latin1", 0, BEGINNING.length))) return bytes;
    if (bytes.length > 0) this.#held = bytes;
    return undefined;
  }
}
