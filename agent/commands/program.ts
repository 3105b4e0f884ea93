/**
 * The commands, as a program: what they are called, their flags (`flags.ts`) and where what they do is found.
 *
 * It runs nothing itself, so that help, completion and the documentation can be made from it.
 */
import { Command } from "commander";
import { PROTOCOL } from "../../codec/limits.ts";
import type { GivenValues } from "../config/given.ts";
import { VERSION } from "../software.ts";
import type { OpenLog } from "../terminal/open-log.ts";
import { connectFlags, doctorFlags, edgeFlags, tokenFlags } from "./flags.ts";

/** What a command does. The exit code is one of ours, or that of a command that we ran. */
export type Run = (
  given: GivenValues,
  log: OpenLog,
  operands: readonly string[],
) => Promise<number>;

/** Runs a command that is loaded only now, so that the first line is out at once. */
export type Start = (
  command: Command,
  load: () => Promise<Run>,
  /** Whether it goes on until it is told to end, and so introduces itself. */
  kind: { readonly serves: boolean },
) => Promise<void>;

export function newProgram(start: Start): Command {
  // Before the commands are made: they inherit it.
  const program = new Command("agent")
    .exitOverride()
    // `complaint.ts` says it.
    .configureOutput({ outputError: () => {} });
  program
    .description("Sluice: an HTTP tunnel through your own Cloudflare Worker.")
    .version(
      `agent ${VERSION}, protocol ${PROTOCOL}, node ${process.versions.node}`,
      "-V, --version",
      "print the versions",
    )
    .addHelpText(
      "after",
      `
Examples:
  agent edge --port 8787 --secret-file tunnel.secret
  agent token --service shop --secret-file tunnel.secret > shop.token
  agent connect --port 4000 --edge http://127.0.0.1:8787 --service shop --token-file shop.token
  agent doctor  --port 4000 --edge http://127.0.0.1:8787 --service shop --token-file shop.token

Exit codes: 0 clean, 1 failed, 2 wrong usage, 4 token refused, 5 protocol version refused, 130/143 forced.`,
    );

  connectFlags(program.command("connect"))
    .description("make a server on this machine or network answer requests from the edge")
    .usage("[options] [-- command...]")
    .argument("[command...]", "after --: starts the server, gets the public URL as SLUICE_URL")
    .action((_operands, _options, command: Command) =>
      start(command, async () => (await import("./connect.ts")).connect, { serves: true }),
    );

  doctorFlags(program.command("doctor"))
    .description("find out why a tunnel does not work: takes the flags of connect")
    .action((_options, command: Command) =>
      start(command, async () => (await import("./doctor.ts")).doctor, { serves: false }),
    );

  edgeFlags(program.command("edge"))
    .description("run the edge on this machine, in workerd")
    .action((_options, command: Command) =>
      start(command, async () => (await import("./edge.ts")).edge, { serves: true }),
    );

  tokenFlags(program.command("token"))
    .description("print a signed token")
    .action((_options, command: Command) =>
      start(command, async () => (await import("./token.ts")).token, { serves: false }),
    );

  return program;
}
