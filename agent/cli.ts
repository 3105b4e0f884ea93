#!/usr/bin/env node
/**
 * The command line: flags to configuration, ends to exit codes. The commands are in `commands/program.ts`.
 */
import "./young-heap.ts";
import { type Command, CommanderError } from "commander";
import { givenOf } from "./commands/given.ts";
import { newProgram, type Run } from "./commands/program.ts";
import { isOn } from "./config/config.ts";
import { exits, UsageError } from "./config/usage.ts";
import { BatchedSink } from "./terminal/batched-sink.ts";
import { Log } from "./terminal/log.ts";

async function start(command: Command, load: () => Promise<Run>): Promise<void> {
  const given = givenOf(command);
  const log = new Log({
    json: isOn(given["json"]),
    stdout: new BatchedSink(process.stdout),
    stderr: new BatchedSink(process.stderr),
    now: Date.now,
  });
  try {
    const run = await load();
    process.exit(await run(given, log, command.args));
  } catch (error) {
    const usage = error instanceof UsageError;
    const message = error instanceof Error ? error.message : String(error);
    log.event({ event: "error", code: usage ? "usage" : "failed", message });
    process.exit(usage ? exits.usage : exits.runtime);
  }
}

/** A reader that went away (`agent … | head`) is no reason to drop the tunnel. */
function ignoreClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
}

ignoreClosedOutput();
try {
  await newProgram(start).parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exit(error.exitCode === 0 ? exits.clean : exits.usage);
}
