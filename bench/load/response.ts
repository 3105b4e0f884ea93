/**
 * Reads one HTTP/1.1 answer from pieces of a connection: as little work as is possible without believing anything.
 *
 * node:http would cost more CPU than the tunnel that it measures.
 */

type State = "head" | "fixed" | "size" | "chunk" | "chunk-end" | "trailers" | "to-end" | "done";

export class ResponseReader {
  readonly #onBody: (piece: Buffer) => void;
  #state: State = "head";
  /** A head, a chunk size or a trailer that has not arrived completely. */
  #partial: Buffer | undefined;
  #leftBytes = 0;

  constructor(onBody: (piece: Buffer) => void) {
    this.#onBody = onBody;
  }

  /** Whether the whole answer was read. The reader then begins with the next one. */
  get done(): boolean {
    return this.#state === "done";
  }

  /** Whether the head was read. */
  get begun(): boolean {
    return this.#state !== "head";
  }

  /** @throws Error when the answer is not a 200, or no answer. */
  push(chunk: Buffer): void {
    if (this.#state === "done") this.#state = "head";
    let input: Buffer | undefined = chunk;
    if (this.#partial !== undefined) {
      input = Buffer.concat([this.#partial, chunk]);
      this.#partial = undefined;
    }
    while (input !== undefined && input.length > 0) input = this.#step(input);
  }

  /** The connection has ended. @throws Error when the answer had not. */
  end(): void {
    if (this.#state === "to-end") this.#state = "done";
    if (this.#state !== "done") throw new Error("the answer was cut");
  }

  /** Reads one thing; returns what is left, or undefined when more has to arrive. */
  #step(input: Buffer): Buffer | undefined {
    switch (this.#state) {
      case "head": {
        const end = input.indexOf("\r\n\r\n");
        if (end === -1) return this.#wait(input);
        this.#readHead(input.toString("latin1", 0, end));
        return input.subarray(end + 4);
      }
      case "fixed":
      case "chunk": {
        const piece = input.length <= this.#leftBytes ? input : input.subarray(0, this.#leftBytes);
        this.#leftBytes -= piece.length;
        this.#onBody(piece);
        if (this.#leftBytes === 0) this.#state = this.#state === "fixed" ? "done" : "chunk-end";
        return input.subarray(piece.length);
      }
      case "chunk-end":
        if (input.length < 2) return this.#wait(input);
        this.#state = "size";
        return input.subarray(2);
      case "size": {
        const end = input.indexOf("\r\n");
        if (end === -1) return this.#wait(input);
        this.#leftBytes = Number.parseInt(input.toString("latin1", 0, end), 16);
        if (!Number.isSafeInteger(this.#leftBytes)) throw new Error("a chunk without a size");
        this.#state = this.#leftBytes === 0 ? "trailers" : "chunk";
        return input.subarray(end + 2);
      }
      case "trailers": {
        const end = input.indexOf("\r\n");
        if (end === -1) return this.#wait(input);
        if (end === 0) this.#state = "done";
        return input.subarray(end + 2);
      }
      case "to-end":
        this.#onBody(input);
        return undefined;
      case "done":
        throw new Error("more than one answer to a request");
    }
  }

  #wait(input: Buffer): undefined {
    this.#partial = input;
    return undefined;
  }

  #readHead(head: string): void {
    if (!head.startsWith("HTTP/1.1 200")) {
      const code = /\r\nsluice-error: *([^\r]*)/i.exec(head)?.[1];
      const [status = head] = head.split("\r\n", 1);
      throw new Error(`the answer is ${status}${code === undefined ? "" : ` (${code})`}`);
    }
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length !== undefined) {
      this.#leftBytes = Number(length);
      this.#state = this.#leftBytes === 0 ? "done" : "fixed";
    } else {
      this.#state = /\r\ntransfer-encoding: *chunked/i.test(head) ? "size" : "to-end";
    }
  }
}
