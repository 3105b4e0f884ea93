/** `agent completion`: a script for the shell that knows all commands, flags and values. */
import type { Command } from "commander";
import { bashCompletion } from "../completion/bash.ts";
import { fishCompletion } from "../completion/fish.ts";
import { placesOf } from "../completion/words.ts";
import { zshCompletion } from "../completion/zsh.ts";
import type { GivenValues } from "../config/given.ts";
import { type ExitCode, exits, UsageError } from "../config/usage.ts";
import type { OpenLog } from "../terminal/open-log.ts";

const shells = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** @throws UsageError for another shell */
export async function completion(
  _given: GivenValues,
  _open: OpenLog,
  [shell = ""]: readonly string[],
  command: Command,
): Promise<ExitCode> {
  const program = command.parent;
  if (program === null) throw new Error("completion is a command of a program");
  if (!Object.hasOwn(shells, shell)) {
    throw new UsageError(
      `The shell must be bash, zsh or fish, not ${JSON.stringify(shell)}. \`agent completion --help\` says how to use it.`,
    );
  }
  const script = shells[shell as keyof typeof shells](program.name(), placesOf(program));
  process.stdout.write(script);
  return exits.clean;
}
