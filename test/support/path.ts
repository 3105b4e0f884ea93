/** One body on a path of a given speed and round trip, a millisecond a step, with a reader of a given speed behind it. */
import type { Budget } from "../../codec/budget.ts";
import { ReceiveCredit, SendCredit } from "../../codec/credit.ts";
import { ALONE_DATA_BYTES } from "../../codec/limits.ts";
import { Queue } from "../../codec/queue.ts";

export interface PathOptions {
  readonly budget: Budget;
  readonly bytesPerMs: number;
  readonly rttMs: number;
  /** How fast the reader consumes; by default, as fast as it arrives. */
  readonly readBytesPerMs?: number;
  /** The largest piece that is sent at once. */
  readonly chunkBytes?: number;
  readonly startMs?: number;
}

interface UnderWay {
  readonly atMs: number;
  readonly bytes: number;
}

export class PathSimulation {
  readonly sender: SendCredit;
  readonly credit: ReceiveCredit;
  readBytesPerMs: number;
  takenBytes = 0;
  readonly #options: PathOptions;
  readonly #chunkBytes: number;
  readonly #data = new Queue<UnderWay>();
  readonly #credits = new Queue<UnderWay>();
  #dataFirst: UnderWay | undefined;
  #creditFirst: UnderWay | undefined;
  #nowMs: number;
  /** What the line could have carried since the last piece, and the reader read since the last bite. */
  #lineBytes = 0;
  #readBytes = 0;

  /** @throws Error when the budget does not admit the body */
  constructor(options: PathOptions) {
    this.#options = options;
    this.#chunkBytes = options.chunkBytes ?? ALONE_DATA_BYTES;
    this.#nowMs = options.startMs ?? 0;
    this.readBytesPerMs = options.readBytesPerMs ?? Number.POSITIVE_INFINITY;
    const windowBytes = options.budget.admit();
    if (windowBytes === 0) throw new Error("the budget has no room");
    this.sender = new SendCredit(windowBytes);
    this.credit = new ReceiveCredit(options.budget, windowBytes, this.#nowMs);
  }

  run(ms: number): void {
    for (const end = this.#nowMs + ms; this.#nowMs < end;) this.step();
  }

  /** One millisecond. */
  step(): void {
    const { bytesPerMs, rttMs } = this.#options;
    const now = ++this.#nowMs;
    for (;;) {
      this.#creditFirst ??= this.#credits.shift();
      if (this.#creditFirst === undefined || this.#creditFirst.atMs > now) break;
      if (!this.sender.add(this.#creditFirst.bytes)) throw new Error("credit overflows");
      this.#creditFirst = undefined;
    }
    // A line that idles saves nothing up, but for the piece that is about to go.
    this.#lineBytes = Math.min(this.#lineBytes, this.#chunkBytes) + bytesPerMs;
    while (this.sender.bytes > 0) {
      const size = Math.min(this.#chunkBytes, this.sender.bytes);
      if (size > this.#lineBytes) break;
      this.#lineBytes -= size;
      this.sender.spend(size);
      this.#data.push({ atMs: now + rttMs / 2, bytes: size });
    }
    for (;;) {
      this.#dataFirst ??= this.#data.shift();
      if (this.#dataFirst === undefined || this.#dataFirst.atMs > now) break;
      if (!this.credit.receive(this.#dataFirst.bytes)) throw new Error("a window was overdrawn");
      this.#dataFirst = undefined;
    }
    this.#readBytes = Math.min(this.#readBytes + this.readBytesPerMs, this.credit.bufferedBytes);
    while (this.#readBytes >= 1) {
      const size = Math.min(Math.floor(this.#readBytes), this.#chunkBytes);
      this.#readBytes -= size;
      this.takenBytes += size;
      const bytes = this.credit.consume(size, now, rttMs);
      if (bytes > 0) this.#credits.push({ atMs: now + rttMs / 2, bytes });
    }
  }
}
