/** What a visitor may see of an answer that could not be finished. */
import { expect } from "vitest";
import { type ErrorCode, errors } from "../../codec/errors.ts";
import { type Answer, values } from "./raw-http.ts";

/**
 * However far it had come: a refusal while nothing was sent, else a cut, before or behind the head. Never a good end.
 * @param answer undefined: the connection ended before a head.
 */
export function expectUnfinished(answer: Answer | undefined, code: ErrorCode): void {
  if (answer === undefined) return;
  if (answer.status < 400) expect(answer.ended).toBe("cut");
  else {
    const told = values(answer.fields, "sluice-error");
    expect([answer.status, told]).toEqual([errors[code].status, [code]]);
  }
}
