/** `npm start`: its flags, its first line, its exit code. What it does is in `demo.ts`. */
import { Command, CommanderError, Option } from "commander";
import { complain } from "../commands/complaint.ts";
import { outputFlags } from "../commands/flags.ts";
import { givenOf } from "../commands/given.ts";
import { type ExitCode, exits, UsageError } from "../config/usage.ts";
import { VERSION } from "../software.ts";
import { type OpenLog, openLog } from "../terminal/open-log.ts";

// Whoever read along may go away, as a closed terminal does.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const program = new Command("npm start --")
  .description("The tunnel at work on this machine: edge, demo origin and agent.")
  .addOption(new Option("-p, --port <port>", "where the edge listens (default 8787)").env("PORT"))
  .exitOverride();
outputFlags(program);
let exit: ExitCode = exits.clean;
let open: OpenLog | undefined;
try {
  program.parse();
  const given = givenOf(program);
  open = openLog(given, true);
  open.log.header(VERSION);
  const { demo } = await import("./demo.ts");
  exit = await demo(given, open);
} catch (error) {
  if (error instanceof CommanderError) {
    exit = error.exitCode === 0 ? exits.clean : exits.usage;
  } else {
    complain(open?.log, process.argv.includes("--json"), error);
    exit = error instanceof UsageError ? exits.usage : exits.runtime;
  }
}
process.exit(exit);
