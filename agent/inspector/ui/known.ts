/** The rows that the page knows, from lists and reports that may overtake each other. It knows no browser. */
import type { Row } from "../api.ts";

/** A row, and when we heard it: what is open goes on meanwhile. */
export interface Heard {
  readonly row: Row;
  readonly heardMs: number;
}

export type Known = Map<number, Heard>;

/**
 * What is known once a list has come that was asked for at `askedMs`: reports that were heard since then are newer than
 * the list, or are followed by one that is. What is over and `held` stays, though the agent has forgotten it.
 */
export function withList(
  known: Known,
  rows: readonly Row[],
  { askedMs, heardMs, held }: { askedMs: number; heardMs: number; held: readonly number[] },
): Known {
  const next: Known = new Map(rows.map((row) => [row.id, { row, heardMs }]));
  for (const [id, heard] of known) if (heard.heardMs >= askedMs) next.set(id, heard);
  for (const id of held) {
    const heard = known.get(id);
    if (heard?.row.phase === "over" && !next.has(id)) next.set(id, heard);
  }
  return next;
}

/** Forgets what is over. */
export function clear(known: Known): void {
  for (const [id, { row }] of known) if (row.phase === "over") known.delete(id);
}

/**
 * Forgets what there is no room for: the oldest first, what is over before what is open, as the agent does.
 * @returns the ids of the others, newest first
 */
export function trim(known: Known, most: number): number[] {
  const ids = [...known.keys()].sort((a, b) => a - b);
  const over = ids.filter((id) => known.get(id)?.row.phase === "over");
  const open = ids.filter((id) => known.get(id)?.row.phase !== "over");
  for (const id of [...over, ...open].slice(0, Math.max(0, ids.length - most))) known.delete(id);
  return ids.filter((id) => known.has(id)).reverse();
}

/** The same among those that are not `held`. */
export function trimOthers(known: Known, most: number, held: readonly number[]): void {
  const others = new Map(known);
  for (const id of held) others.delete(id);
  const left = new Set(trim(others, most));
  for (const id of held) left.add(id);
  for (const id of known.keys()) if (!left.has(id)) known.delete(id);
}
