/** One request to the origin, as every client sends it. */
import type { Exchange } from "../../codec/exchange.ts";
import type { Answer } from "./answer.ts";
import type { Own } from "./fields.ts";

export interface Call extends Own {
  readonly exchange: Exchange;
  /** The target at the origin, which may lie below a base path. */
  readonly path: string;
  /** Everything that happens is told to it. */
  readonly answer: Answer;
}
