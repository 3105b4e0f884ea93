/**
 * Assertions: statements about our own code that are true unless we made a mistake.
 *
 * The peer's mistakes never come here. They are `TunnelError`s with a code from the error table.
 */

/** Throws when `condition` is false: a bug of ours, described by `sentence`. */
export function assert(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${sentence}`);
}

/** Ends a switch over a union: the compiler refuses the call while a member is left out. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
