/**
 * One request that is measured: because the operator has bound a dataset, or because its visitor asks what takes how long.
 *
 * It stands between the request and the object's own watch, and passes everything on. Requests that nobody measures have
 * none, and pay for the question alone.
 */
import { type ErrorCode, errors } from "../codec/errors.ts";
import type { ResponseHead } from "../codec/frame.ts";
import type { About } from "./log.ts";
import type { Pace } from "./pace.ts";
import type { AnswerWatch } from "./response.ts";
import { serverTiming } from "./server-timing.ts";
import type { Tally } from "./totals.ts";

/** Whose request it is. */
export interface Visited {
  readonly service: string;
  readonly method: string;
  /** The place of Cloudflare's that the visitor came in by; "" elsewhere. */
  readonly colo: string;
}

export class Visit implements AnswerWatch, Tally {
  readonly #visited: Visited;
  readonly #watch: AnswerWatch;
  readonly #dataset: AnalyticsEngineDataset | undefined;
  readonly #arrivedMs = performance.now();
  #sentMs = this.#arrivedMs;
  #headMs: number | undefined;
  #status = 0;
  #bytesFromVisitor = 0;
  #bytesToVisitor = 0;
  #stalledMs = 0;
  #stalledSinceMs: number | undefined;

  /** @param dataset gets one data point when the request is over. */
  constructor(visited: Visited, watch: AnswerWatch, dataset: AnalyticsEngineDataset | undefined) {
    this.#visited = visited;
    this.#watch = watch;
    this.#dataset = dataset;
  }

  get about(): About {
    return this.#watch.about;
  }

  get pace(): Pace {
    return this.#watch.pace;
  }

  get tally(): Tally {
    return this;
  }

  fromVisitor(bytes: number): void {
    this.#bytesFromVisitor += bytes;
    this.#watch.tally.fromVisitor(bytes);
  }

  toVisitor(bytes: number): void {
    this.#bytesToVisitor += bytes;
    this.#watch.tally.toVisitor(bytes);
  }

  /** An agent has got the request. Called again when it goes to another. */
  sent(): void {
    this.#sentMs = performance.now();
  }

  /** The request's body waits for `room`. */
  async stalledUntil(room: Promise<void>): Promise<void> {
    this.#stalledSinceMs = performance.now();
    try {
      await room;
    } finally {
      this.#stalledMs = this.#stalledUntilNow(performance.now());
      this.#stalledSinceMs = undefined;
    }
  }

  /** The head of the answer is here. */
  answered({ status }: ResponseHead): void {
    this.#headMs = performance.now();
    this.#status = status;
  }

  /** What took how long until `answered()`: see `serverTiming`. */
  serverTiming(head: ResponseHead): string {
    const now = this.#headMs ?? performance.now();
    return serverTiming(
      {
        queueMs: this.#sentMs - this.#arrivedMs,
        awayMs: now - this.#sentMs,
        stalledMs: this.#stalledUntilNow(now),
      },
      head,
    );
  }

  over(cut?: ErrorCode): void {
    if (this.#dataset !== undefined) this.#record(this.#dataset, cut);
    this.#watch.over(cut);
  }

  /** The columns of `docs/status-and-metrics.md`: their order must not change, because stored points have it too. */
  #record(dataset: AnalyticsEngineDataset, cut: ErrorCode | undefined): void {
    const { service, method, colo } = this.#visited;
    // Without a head the visitor got the code's own answer.
    const status = this.#status === 0 && cut !== undefined ? errors[cut].status : this.#status;
    const now = performance.now();
    dataset.writeDataPoint({
      indexes: [service],
      blobs: [service, method, cut ?? "ok", `${Math.floor(status / 100)}xx`, colo],
      doubles: [
        now - this.#arrivedMs,
        this.#headMs === undefined ? 0 : this.#headMs - this.#arrivedMs,
        this.#bytesFromVisitor,
        this.#bytesToVisitor,
        status,
      ],
    });
  }

  #stalledUntilNow(nowMs: number): number {
    const since = this.#stalledSinceMs;
    return since === undefined ? this.#stalledMs : this.#stalledMs + nowMs - since;
  }
}
