/**
 * A command that cannot be carried out as it was given: the person at the terminal must change something.
 *
 * The message is a full sentence that quotes what was wrong and says what to do; no stack trace is shown.
 */
export class UsageError extends Error {
  constructor(sentence: string) {
    super(sentence);
    this.name = "UsageError";
  }
}

/** Exit codes of every command. Scripts rely on them: extend, never renumber. */
export const exits = {
  clean: 0,
  runtime: 1,
  usage: 2,
  authentication: 4,
  version: 5,
  /** Ended by a second signal: 128 and the signal's number. */
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof exits)[keyof typeof exits];
