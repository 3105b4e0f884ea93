/**
 * Who wants an answer, at the edge: sends the request's body, reads the answer's, and knows how it ended, which it does
 * exactly once.
 */
import { TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { RequestHead, ResponseHead } from "../../codec/frame.ts";
import { type Blame, codeOf } from "./blame.ts";
import { Reader, Writer } from "./bodies.ts";
import { Pattern } from "./pattern.ts";
import type { Plan } from "./plan.ts";
import type { World } from "./world.ts";

export type Fate = "pending" | "complete" | "failed" | "left" | "evicted";

export class Visitor {
  readonly plan: Plan;
  readonly head: RequestHead;
  /** The agents that it was sent through. */
  readonly agents = new Set<string>();
  fate: Fate = "pending";
  /** Something was done to this one that permits it to fail. */
  excused = false;
  /** Set by the origin. */
  served = 0;
  /** The origin has written all of the answer, and ended it. */
  answerWritten = false;
  /** The edge has ended the upload. */
  uploadWritten = false;
  readonly #world: World;
  readonly #blame: Blame;
  #exchange: Exchange | undefined;
  #writer: Writer | undefined;
  #reader: Reader | undefined;
  /** Takes the visitor out of wherever it waits. */
  onLeave: () => void = () => {};

  constructor(world: World, blame: Blame, plan: Plan) {
    this.#world = world;
    this.#blame = blame;
    this.plan = plan;
    const { length } = plan.request;
    this.head = {
      method: length === "socket" || length === "none" ? "GET" : "POST",
      path: `/${plan.id}`,
      headers: [],
      length,
    };
  }

  get name(): string {
    return `exchange ${this.plan.id}`;
  }

  get pending(): boolean {
    return this.fate === "pending";
  }

  /** The request was sent through an agent. */
  begin(exchange: Exchange, agent: string): void {
    this.#exchange = exchange;
    this.agents.add(agent);
    this.#world.note(`${this.name} is stream ${exchange.stream} of ${agent}`);
    exchange.onCancel = (error) => {
      this.#world.note(`${this.name} is cancelled at the edge: ${error.message}`);
      this.#writer?.stop();
    };
    if (typeof this.head.length === "number" || this.head.length === "unknown") this.#upload();
  }

  answered(exchange: Exchange, head: ResponseHead): void {
    if (!this.pending) return;
    const { answer } = this.plan;
    if (head.length !== answer.length) {
      this.#world.lose(`${this.name} got the head of another answer`);
    }
    if (this.head.length === "socket") {
      if (head.length === "socket") this.#upload();
      else exchange.outgoing.end();
    }
    this.#reader = new Reader({
      world: this.#world,
      incoming: exchange.incoming,
      pattern: new Pattern(this.plan.id, "answer"),
      pace: answer.reads,
      name: `the answer of ${this.name}`,
      stopsAt: undefined,
      enough: () => {},
      ended: (bytes) => this.#complete(bytes),
      cut: (error) => this.fail(error),
    });
    this.#reader.step();
  }

  fail(error: unknown): void {
    if (!this.pending) return;
    const code = codeOf(error);
    this.#end("failed", String(error));
    if (code === undefined) this.#world.fail(error);
    else if (!this.excused && !this.#blame.permits(code, this.agents)) {
      this.#world.lose(`${this.name} failed without cause: ${String(error)}`);
    }
  }

  /** The visitor goes away. */
  leave(): void {
    if (!this.pending) return;
    this.excused = true;
    this.#end("left", "");
    this.onLeave();
    this.#exchange?.cancel("cancelled");
  }

  /** The edge's process is gone, and the visitor's connection with it. */
  evict(): void {
    this.excused = true;
    this.#writer?.stop();
    if (this.pending) this.#end("evicted", "");
  }

  #upload(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    const { request, id } = this.plan;
    const writer = new Writer({
      world: this.#world,
      outgoing: exchange.outgoing,
      pattern: new Pattern(id, "request"),
      size: request.bytes,
      pace: request.writes,
      failsAt: request.failsAt,
      failed: () => {
        // The visitor's connection broke: what of the answer is not here yet it will not get.
        this.excused = true;
        if (this.pending) this.leave();
        else exchange.cancel("cancelled");
      },
      written: () => {
        this.uploadWritten = true;
      },
      refused: () => {},
    });
    this.#writer = writer;
    // The edge begins to read a request's body a moment after it has opened the exchange.
    this.#world.after(0, () => writer.step());
  }

  #complete(bytes: number): void {
    if (!this.pending) {
      this.#world.violate(`${this.name} completes, though it is ${this.fate}`);
      return;
    }
    if (bytes !== this.plan.answer.bytes || !this.answerWritten) {
      this.#world.lose(
        `${this.name} ends cleanly after ${bytes} of ${this.plan.answer.bytes} bytes`,
      );
    }
    this.#end("complete", `${bytes} bytes`);
  }

  #end(fate: Fate, note: string): void {
    this.fate = fate;
    this.#reader?.stop();
    // Without an answer there is nobody left to send a body for.
    if (fate !== "complete") this.#writer?.stop();
    this.#world.note(`${this.name} is ${fate} ${note}`);
  }
}

/** Whether a request that failed so may be sent again. As `edge/retry.ts` says it. */
export function maySendAgain(error: unknown, head: RequestHead, retryable: boolean): boolean {
  return (
    error instanceof TunnelError &&
    retryable &&
    (head.length === "none" || head.length === "socket")
  );
}
