/**
 * One exchange at the agent's end: reads the request's body and writes the answer's, as an origin does, or fails.
 */
import type { TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { Blame } from "./blame.ts";
import { Reader, Writer } from "./bodies.ts";
import { Pattern } from "./pattern.ts";
import type { Visitor } from "./visitor.ts";
import type { World } from "./world.ts";

export interface OriginOptions {
  readonly world: World;
  readonly blame: Blame;
  readonly exchange: Exchange;
  readonly visitor: Visitor;
  readonly agent: string;
}

export class Origin {
  readonly #options: OriginOptions;
  readonly #writer: Writer;
  readonly #reader: Reader | undefined;
  /** The origin heard that the exchange is over, or failed itself. */
  #cut = false;
  #reading = false;
  #writing = true;

  constructor(options: OriginOptions) {
    this.#options = options;
    const { world, exchange, visitor } = options;
    const { request, answer, id } = visitor.plan;
    exchange.onCancel = (error) => this.#cancelled(error);
    this.#writer = new Writer({
      world,
      outgoing: exchange.outgoing,
      pattern: new Pattern(id, "answer"),
      size: answer.bytes,
      pace: answer.writes,
      failsAt: answer.failsAt,
      failed: () => this.#fail(),
      written: () => {
        visitor.answerWritten = true;
        this.#writing = false;
      },
      refused: () => {},
    });
    if (exchange.request.length !== "none") {
      this.#reading = true;
      this.#reader = new Reader({
        world,
        incoming: exchange.incoming,
        pattern: new Pattern(id, "request"),
        pace: request.reads,
        name: `the request of ${visitor.name}`,
        stopsAt: request.enoughAt,
        enough: () => {
          this.#reading = false;
          if (visitor.plan.request.length === "socket") this.#fail();
          else exchange.incoming.decline();
        },
        ended: (bytes) => {
          this.#reading = false;
          if (bytes !== request.bytes || !visitor.uploadWritten) {
            world.lose(
              `the request of ${visitor.name} ends cleanly after ${bytes} of ${request.bytes} bytes`,
            );
          }
        },
        cut: () => {
          this.#reading = false;
        },
      });
    }
    world.after(0, () => this.#begin());
  }

  /** Whether the origin still does something for the exchange. */
  get busy(): boolean {
    return !this.#cut && (this.#reading || this.#writing);
  }

  /** The agent's process is gone. */
  kill(): void {
    this.#stop();
  }

  #begin(): void {
    const { world, exchange, visitor } = this.#options;
    if (this.#cut) return;
    const { plan } = visitor;
    if (plan.originRefuses) {
      visitor.excused = true;
      this.#stop();
      exchange.cancel("origin-refused");
      return;
    }
    this.#reader?.step();
    world.after(plan.originMs, () => {
      if (this.#cut) return;
      const { length } = plan.answer;
      exchange.respond({
        status: length === "socket" ? 101 : 200,
        reason: "OK",
        headers: [],
        length,
      });
      if (length === "none") {
        visitor.answerWritten = true;
        this.#writing = false;
      } else this.#writer.step();
    });
  }

  #fail(): void {
    this.#options.visitor.excused = true;
    this.#stop();
    this.#options.exchange.cancel("origin-reset");
  }

  #cancelled(error: TunnelError): void {
    const { world, blame, exchange, visitor, agent } = this.#options;
    world.note(`${visitor.name} is cancelled at the agent: ${error.message}`);
    const busy = this.busy;
    this.#stop();
    // What has arrived of the request's body would wait for a reader who does not come: the agent's shell does the same.
    exchange.cancel(error.code);
    if (!busy || visitor.excused || visitor.fate === "failed") return;
    if (!blame.permits(error.code, [agent])) {
      world.violate(`the origin of ${visitor.name} was told without cause: ${error.message}`);
    }
  }

  #stop(): void {
    this.#cut = true;
    this.#writer.stop();
    this.#reader?.stop();
  }
}
