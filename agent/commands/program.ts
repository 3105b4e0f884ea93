/**
 * The commands, as a program: what they are called, their flags (`flags.ts`) and where what they do is found.
 *
 * It runs nothing itself, so that help, completion and the documentation can be made from it.
 */
import { Argument, Command } from "commander";
import { PROTOCOL } from "../../codec/limits.ts";
import type { GivenValues } from "../config/given.ts";
import { VERSION } from "../software.ts";
import { coloured } from "../terminal/text.ts";
import type { OpenLog } from "../terminal/open-log.ts";
import { connectFlags, doctorFlags, edgeFlags, readyFlags, tokenFlags } from "./flags.ts";

/** What a command does. The exit code is one of ours, or that of a command that we ran. */
export type Run = (
  given: GivenValues,
  log: OpenLog,
  operands: readonly string[],
  command: Command,
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
    .configureHelp({ styleTitle: (title) => coloured("bold", title) })
    // `complaint.ts` says it.
    .configureOutput({ outputError: () => {} });
  program
    .description("Sluice: an HTTP tunnel through your own Cloudflare Worker.")
    .version(
      `agent ${VERSION}, protocol ${PROTOCOL}, node ${process.versions.node}`,
      "-V, --version",
      "print the versions",
    )
    .helpCommand("help [command]", "the same as [command] --help")
    .addHelpText(
      "after",
      `
Examples:
  agent edge --port 8787 --secret-file tunnel.secret
  agent token --service shop --secret-file tunnel.secret > shop.token
  agent connect --port 4000 --edge http://127.0.0.1:8787 --service shop --token-file shop.token
  agent doctor  --port 4000 --edge http://127.0.0.1:8787 --service shop --token-file shop.token

Exit codes: 0 clean, 1 failed, 2 wrong usage, 4 token refused, 5 protocol version refused, 130/143 forced.
Error codes: docs/errors.md`,
    );

  program.commandsGroup("The tunnel:");
  connectFlags(program.command("connect"))
    .description("make a server on this machine or network answer requests from the edge")
    .usage("[options] [-- command...]")
    .argument("[command...]", "after --: starts the server, gets the public URL as SLUICE_URL")
    .addHelpText(
      "after",
      examples(
        "agent connect -p 4000 -e https://edge.example.workers.dev -s shop --token-file shop.token",
        "agent connect -e https://edge.example.workers.dev -s shop --token-file shop.token -- npm run dev",
        "agent connect --config sluice.config.json",
      ),
    )
    .action((_operands, _options, command: Command) =>
      start(command, async () => (await import("./connect.ts")).connect, { serves: true }),
    );

  edgeFlags(program.command("edge"))
    .description("run the edge on this machine, in workerd")
    .addHelpText(
      "after",
      examples(
        "agent edge --secret-file tunnel.secret",
        "agent edge --port 0 --domain localhost --visitors token --data edge.data",
      ),
    )
    .action((_options, command: Command) =>
      start(command, async () => (await import("./edge.ts")).edge, { serves: true }),
    );

  tokenFlags(program.command("token"))
    .description("print a signed token")
    .addHelpText(
      "after",
      examples(
        "agent token --service shop --secret-file tunnel.secret > shop.token",
        "agent token --service shop --role visitor --expires 12h --secret-file tunnel.secret",
      ),
    )
    .action((_options, command: Command) =>
      start(command, async () => (await import("./token.ts")).token, { serves: false }),
    );

  program.commandsGroup("When it does not work:");
  doctorFlags(program.command("doctor"))
    .description("find out why a tunnel does not work: takes the flags of connect")
    .addHelpText(
      "after",
      examples(
        "agent doctor -p 4000 -e https://edge.example.workers.dev -s shop --token-file shop.token",
        "agent doctor --config sluice.config.json --report report.json",
      ),
    )
    .action((_options, command: Command) =>
      start(command, async () => (await import("./doctor.ts")).doctor, { serves: false }),
    );

  readyFlags(program.command("ready"))
    .description("whether a running agent can get requests: exit code 0 or 1, for health checks")
    .addHelpText("after", examples("agent ready --metrics 9090"))
    .action((_options, command: Command) =>
      start(command, async () => (await import("./ready.ts")).ready, here),
    );

  const config = program
    .command("config")
    .description("what connect would run with")
    .addHelpText("after", examples("agent config check", "agent config show --json"));
  connectFlags(config.command("check"))
    .description("whether connect could run with it; takes the flags of connect")
    .addHelpText("after", examples("agent config check --config sluice.config.json"))
    .action((_options, command: Command) =>
      start(command, async () => (await import("./config-check.ts")).configCheck, here),
    );
  connectFlags(config.command("show"))
    .description("every value and where it comes from; takes the flags of connect")
    .addHelpText("after", examples("agent config show --service shop", "agent config show --json"))
    .action((_options, command: Command) =>
      start(command, async () => (await import("./config-show.ts")).configShow, here),
    );

  program.commandsGroup("Your shell:");
  program
    .command("completion")
    .description("print a script that completes commands, flags and values")
    .addArgument(shellArgument())
    .addHelpText(
      "after",
      `
For good:
  bash  agent completion bash > ~/.local/share/bash-completion/completions/agent
  zsh   agent completion zsh > "\${fpath[1]}/_agent"
  fish  agent completion fish > ~/.config/fish/completions/agent.fish
For this shell:
  source <(agent completion bash)`,
    )
    .action((_shell, _options, command: Command) =>
      start(command, async () => (await import("./completion.ts")).completion, here),
    );

  return program;
}

/** Commands that are over at once. */
const here = { serves: false } as const;

function examples(...lines: readonly string[]): string {
  const title = lines.length === 1 ? "Example" : "Examples";
  return `\n${title}:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}

/** Words that help and completion offer; `completion.ts` complains of others. */
function shellArgument(): Argument {
  const argument = new Argument("<shell>", "which one");
  argument.argChoices = ["bash", "zsh", "fish"];
  return argument;
}
