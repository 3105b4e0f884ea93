/**
 * One direction of one stream: the only place where a half changes state.
 *
 *            head            end
 *    idle ─────────▶ open ─────────▶ ended
 *      │              │ ▲
 *      │       cancel │ └─ data
 *      └──────────────┴───────────▶ cancelled
 *
 * A request is one half, its answer the other; a stream is the two of them and has no state of its own. What the
 * table lacks is a protocol error. Credit is not a state: see `credit.ts`.
 */

export type HalfState = "idle" | "open" | "ended" | "cancelled";
export type HalfInput = "head" | "data" | "end" | "cancel";

export const halfTransitions = {
  idle: { head: "open", data: undefined, end: undefined, cancel: "cancelled" },
  open: { head: undefined, data: "open", end: "ended", cancel: "cancelled" },
  // A cancel meets what is over already without changing it: an answer that ended well stays good.
  ended: { head: undefined, data: undefined, end: undefined, cancel: "ended" },
  // What was under way when we cancelled still arrives, and is dropped.
  cancelled: { head: "cancelled", data: "cancelled", end: "cancelled", cancel: "cancelled" },
} as const satisfies Record<HalfState, Record<HalfInput, HalfState | undefined>>;

/** The state after `input`, or undefined: the input is a protocol error in this state. */
export function step(state: HalfState, input: HalfInput): HalfState | undefined {
  return halfTransitions[state][input];
}

/** Whether nothing more will come of a half in this state. */
export function isOver(state: HalfState): boolean {
  return state === "ended" || state === "cancelled";
}
