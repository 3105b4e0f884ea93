/** Says why a command cannot go on, as an event and a sentence that says what to do and where more is written. */
import { type Command, type CommanderError } from "commander";
import { UsageError } from "../config/usage.ts";
import { Log } from "../terminal/log.ts";
import { PlainVoice } from "../terminal/plain.ts";
import { paintFor } from "../terminal/text.ts";

/** @param log undefined when it went wrong before there was one */
export function complain(log: Log | undefined, json: boolean, error: unknown): void {
  const code = error instanceof UsageError ? "usage" : "failed";
  const message = error instanceof Error ? error.message : String(error);
  (log ?? plainLog(json)).event({ event: "error", code, message });
}

function plainLog(json: boolean): Log {
  const { stdout, stderr } = process;
  const voice = new PlainVoice(stderr, paintFor(stderr), Date.now);
  return new Log({ json, stdout, stderr, now: Date.now, voice });
}

/** What commander found wrong, as a sentence like ours: what is wrong, what was probably meant, where the right words are. */
export function usageMistake(
  { code, message }: CommanderError,
  program: Command,
  argv: readonly string[],
): UsageError {
  const command = commandAt(program, argv);
  const help = `\`${pathOf(command)} --help\` lists what there is.`;
  // Commander shows the help of a command that does nothing by itself, and says no more.
  if (code === "commander.help") {
    const names = command.commands.map((each) => each.name()).join(", ");
    return new UsageError(`\`${pathOf(command)}\` needs a command: ${names}. ${help}`);
  }
  // The way commander says it: a suggestion on a line of its own.
  const [says = "", guess] = message.replace(/^error: /, "").split("\n");
  const sentence = `${says.charAt(0).toUpperCase()}${says.slice(1)}.`;
  if (code === "commander.unknownOption") {
    const flag = /'(-[^'=]*)/.exec(says)?.[1] ?? "";
    const owner = everyCommand(program).find(
      (each) =>
        each !== command && each.options.some(({ long, short }) => long === flag || short === flag),
    );
    if (owner !== undefined) {
      return new UsageError(`${sentence} It is a flag of \`${pathOf(owner)}\`. ${help}`);
    }
  }
  const meant = guess === undefined ? [] : [guess.replace(/^\((.*)\)$/, "$1")];
  return new UsageError([sentence, ...meant, help].join(" "));
}

/** The command that the words lead to, as far as they do. */
function commandAt(program: Command, [word, ...rest]: readonly string[]): Command {
  const found = program.commands.find((each) => each.name() === word);
  return found === undefined ? program : commandAt(found, rest);
}

function everyCommand(program: Command): Command[] {
  return program.commands.flatMap((each) => [each, ...everyCommand(each)]);
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
