/** Mistyped commands and flags: the sentence says what was probably meant, and where the right words are. */
import { CommanderError } from "commander";
import { expect, test } from "vitest";
import { usageMistake } from "../../agent/commands/complaint.ts";
import { newProgram } from "../../agent/commands/program.ts";
import { Program } from "../support/program.ts";

async function mistake(words: string): Promise<string> {
  const argv = words === "" ? [] : words.split(" ");
  const program = newProgram(async () => {});
  for (const each of [program, ...program.commands]) each.configureOutput({ writeErr: () => {} });
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return usageMistake(error, program, argv).message;
    throw error;
  }
  return "";
}

test.each([
  ["conect", "Unknown command 'conect'. Did you mean connect? `agent --help` lists what there is."],
  [
    "connect --prot 1",
    "Unknown option '--prot'. Did you mean --port? `agent connect --help` lists what there is.",
  ],
  [
    "config shw",
    "Unknown command 'shw'. Did you mean show? `agent config --help` lists what there is.",
  ],
  [
    "connect --domain x",
    "Unknown option '--domain'. It is a flag of `agent edge`. `agent connect --help` lists what there is.",
  ],
  ["token --port=1", "It is a flag of `agent connect`."],
  ["connect --port", "argument missing. `agent connect --help` lists what there is."],
  ["completion", "Missing required argument 'shell'. `agent completion --help`"],
  ["", "`agent` needs a command: connect, "],
  ["config", "`agent config` needs a command: check, show."],
])('"agent %s" says what to do', async (words, says) => {
  expect(await mistake(words)).toContain(says);
});

test("it is exit code 2, one line with its code, and with --json an event too", async () => {
  const program = Program.agent(["connect", "--prot", "1", "--json"]);
  expect(await program.exit()).toEqual({ code: 2, signal: null });
  expect(program.stderr).toMatch(
    /^error: Unknown option '--prot'\. .*\(usage, docs\/errors\.md#usage\)\n$/,
  );
  expect(program.events).toMatchObject([{ event: "error", code: "usage" }]);
});

test("every command has an example, and help is in groups", async () => {
  const helps = ["connect", "edge", "token", "doctor", "config check", "config show"];
  for (const words of helps) {
    const program = Program.agent([...words.split(" "), "--help"]);
    await program.exit();
    expect(program.lines.join("\n")).toContain(`\n  agent ${words}`);
  }
  const help = Program.agent(["--help"]);
  await help.exit();
  expect(help.lines).toEqual(expect.arrayContaining(["The tunnel:", "When it does not work:"]));
});
