/**
 * Rows of what happens in memory, in a process of their own: the garbage and the compiled code of one subject must not
 * be another's.
 */
import { codecRows } from "./codec.ts";
import { muxRows } from "./mux.ts";
import type { Plan } from "./plan.ts";
import { answerQuestions } from "./process.ts";
import type { Row, Subject } from "./row.ts";

export interface MicroQuestion {
  readonly subject: Subject;
  readonly plan: Plan;
  /** Only rows whose name holds this. */
  readonly only: string;
}

answerQuestions<MicroQuestion, Row[]>(({ subject, plan, only }) =>
  subject === "codec" ? codecRows(plan, only) : muxRows(plan, only),
);
