/**
 * What can be completed, read from the commands themselves (`commands/program.ts`): there is no second list of flags.
 */
import type { Command, Option } from "commander";

/** What the value of a flag, or an operand, is. */
export type Values =
  | { readonly are: "nothing" }
  | { readonly are: "anything" }
  | { readonly are: "files" }
  | { readonly are: "directories" }
  | { readonly are: "words"; readonly words: readonly string[] };

export interface Flag {
  /** `--port` and, if there is one, `-p`. */
  readonly names: readonly string[];
  readonly description: string;
  readonly values: Values;
}

export interface Place {
  /** The commands that lead there: `["config", "show"]`; none for the program itself. */
  readonly path: readonly string[];
  readonly description: string;
  readonly flags: readonly Flag[];
  /** The commands below. */
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  /** What may stand there that is neither. */
  readonly operands: Values;
}

/** The program and all commands below it. */
export function placesOf(program: Command, path: readonly string[] = []): Place[] {
  const commands = program.commands.map((each) => ({
    name: each.name(),
    description: each.description(),
  }));
  const [operand] = program.registeredArguments;
  const place: Place = {
    path,
    description: program.description(),
    flags: [
      ...program.options.filter(({ hidden }) => !hidden).map(flagOf),
      { names: ["-h", "--help"], description: "what there is", values: { are: "nothing" } },
    ],
    commands,
    operands:
      operand?.argChoices === undefined
        ? { are: "nothing" }
        : { are: "words", words: operand.argChoices },
  };
  return [place, ...program.commands.flatMap((each) => placesOf(each, [...path, each.name()]))];
}

function flagOf(option: Option): Flag {
  const names = [option.short, option.long].filter((name) => name !== undefined);
  return { names, description: option.description, values: valuesOf(option) };
}

/** By the word in the flag's brackets: `<file>`, `<directory>`. */
function valuesOf(option: Option): Values {
  if (!option.required && !option.optional) return { are: "nothing" };
  if (option.argChoices !== undefined) return { are: "words", words: option.argChoices };
  if (option.flags.includes("<file>")) return { are: "files" };
  if (option.flags.includes("<directory>")) return { are: "directories" };
  return { are: "anything" };
}
