#!/usr/bin/env node
/**
 * The command line: flags to values, errors to sentences, ends to exit codes. The commands are in `commands/program.ts`.
 *
 * Executable, though `bin/agent.js` is what `npx agent` starts: npx keeps the link it made when the checkout was first
 * used (`~/.npm/_npx`), whatever `package.json` says by now, and for checkouts of the first days that link ends here.
 */
import { CommanderError } from "commander";
import { complain, usageMistake } from "./commands/complaint.ts";
import { givenOf } from "./commands/given.ts";
import { newProgram, type Start } from "./commands/program.ts";
import { isOn } from "./config/given.ts";
import { exits, UsageError } from "./config/usage.ts";
import { type OpenLog, openLog } from "./terminal/open-log.ts";
import { VERSION } from "./software.ts";

const start: Start = async (command, load, { serves }) => {
  const given = givenOf(command);
  let open: OpenLog | undefined;
  try {
    open = openLog(given, serves);
    if (serves) open.log.header(VERSION);
    const run = await load();
    process.exit(await run(given, open, command.args, command));
  } catch (error) {
    complain(open?.log, isOn(given["json"]), error);
    process.exit(error instanceof UsageError ? exits.usage : exits.runtime);
  }
};

/** A reader that went away (`agent … | head`) is no reason to drop the tunnel. */
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const program = newProgram(start);
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  if (error.exitCode === 0) process.exit(exits.clean);
  const variable = { text: process.env["AGENT_JSON"] || "no", from: "AGENT_JSON", flag: false };
  const json = process.argv.includes("--json") || isOn(variable);
  complain(undefined, json, usageMistake(error, program, process.argv.slice(2)));
  process.exit(exits.usage);
}
