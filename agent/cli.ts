#!/usr/bin/env node
/**
 * The command line: flags to configuration, signals to drain, ends to exit codes. What a command does is elsewhere, and
 * is loaded only when the command runs, so that the first line is out at once.
 */
import "./young-heap.ts";
import { Command, CommanderError, Option } from "commander";
import { BatchedSink } from "./terminal/batched-sink.ts";
import { PROTOCOL } from "../codec/limits.ts";
import { type Given, type GivenValues, isOn } from "./config/config.ts";
import { Log } from "./terminal/log.ts";
import { VERSION } from "./software.ts";
import { exits, UsageError } from "./config/usage.ts";

/** A flag and its environment variable. */
function option(flags: string, variable: string, description: string): Option {
  return new Option(flags, description).env(variable);
}

function json(): Option {
  return option("--json", "AGENT_JSON", "events on stdout, one JSON object a line");
}

const program = new Command("agent")
  .description("Sluice: an HTTP tunnel through your own Cloudflare Worker.")
  .version(
    `agent ${VERSION}, protocol ${PROTOCOL}, node ${process.versions.node}`,
    "-V, --version",
    "print the versions",
  )
  .exitOverride()
  .showHelpAfterError("(run with --help for the flags)")
  .addHelpText(
    "after",
    `
Examples:
  agent edge --port 8787 --secret-file tunnel.secret
  agent token --service shop --secret-file tunnel.secret > shop.token
  agent connect --port 4000 --edge http://127.0.0.1:8787 --service shop --token-file shop.token

Exit codes: 0 clean, 1 failed, 2 wrong usage, 4 token refused, 5 protocol version refused, 130/143 forced.`,
  );

program
  .command("connect")
  .description("make a server on this machine or network answer requests from the edge")
  .usage("[options] [-- command...]")
  .argument("[command...]", "after --: starts the server, gets the public URL as SLUICE_URL")
  .optionsGroup("Where to:")
  .addOption(option("-e, --edge <url>", "AGENT_EDGE", "the URL of your edge"))
  .addOption(option("-s, --service <name>", "AGENT_SERVICE", "the service that the server is"))
  .addOption(
    option(
      "--token-file <path>",
      "AGENT_TOKEN_FILE",
      "the agent token; - is stdin (or set AGENT_TOKEN)",
    ),
  )
  .addOption(
    option(
      "--ca <file>",
      "AGENT_CA",
      "whom to believe that it is the edge: a PEM file (default Node's, NODE_EXTRA_CA_CERTS and the system's)",
    ),
  )
  .addOption(
    option(
      "--config <file>",
      "AGENT_CONFIG",
      "all of this for one or several services (default sluice.config.json, if it is there)",
    ),
  )
  .optionsGroup("The server:")
  .addOption(option("-p, --port <port>", "AGENT_PORT", "its port on this machine"))
  .addOption(
    option(
      "--origin <url>",
      "AGENT_ORIGIN",
      "its address instead: http://, https://, h2c:// or unix:/path",
    ),
  )
  .addOption(option("--path <path>", "AGENT_PATH", "the part of it that the tunnel leads to"))
  .addOption(
    option(
      "-c, --concurrency <n>",
      "AGENT_CONCURRENCY",
      "requests it gets at once; others wait (default 64)",
    ),
  )
  .addOption(
    option(
      "--host-header <host>",
      "AGENT_HOST_HEADER",
      "the Host that it sees (default its own address)",
    ),
  )
  .addOption(
    option(
      "--origin-timeout <time>",
      "AGENT_ORIGIN_TIMEOUT",
      "how long it may take to begin an answer, 0 for ever (default 10m)",
    ),
  )
  .addOption(
    option(
      "--origin-ca <file>",
      "AGENT_ORIGIN_CA",
      "whom to believe that it is an https:// server: a PEM file",
    ),
  )
  .addOption(
    option(
      "--insecure-origin",
      "AGENT_INSECURE_ORIGIN",
      "believe any certificate, as of a self-signed server",
    ),
  )
  .addOption(
    option(
      "--no-rewrite-location",
      "AGENT_REWRITE_LOCATION",
      "pass its redirects on as they are, also out of the tunnel (the variable: 0)",
    ),
  )
  // What is so by default can be said, to win over the environment.
  .addOption(new Option("--rewrite-location").hideHelp())
  .optionsGroup("Running:")
  .addOption(
    option(
      "--grace <time>",
      "AGENT_GRACE",
      "how long requests in flight may finish after the first signal (default 30s)",
    ),
  )
  .addOption(
    option(
      "--replace",
      "AGENT_REPLACE",
      "take over: other agents of the service finish what they have and end",
    ),
  )
  .addOption(json())
  .action((_operands, _options, command: Command) =>
    finish(command, async () => (await import("./commands/connect.ts")).connect),
  );

program
  .command("edge")
  .description("run the edge on this machine, in workerd")
  .addOption(
    option(
      "-p, --port <port>",
      "AGENT_EDGE_PORT",
      "where to listen; 0 lets the system choose (default 8787)",
    ),
  )
  .addOption(
    option("--host <address>", "AGENT_EDGE_HOST", "the address to listen on (default 127.0.0.1)"),
  )
  .addOption(
    option(
      "--domain <domain>",
      "AGENT_EDGE_DOMAIN",
      "make <service>.<domain> reach the service too",
    ),
  )
  .addOption(
    option(
      "--secret-file <path>",
      "AGENT_SECRET_FILE",
      "what signs tokens; - is stdin (or set TUNNEL_SECRET; made when missing)",
    ),
  )
  .addOption(
    option(
      "--data <directory>",
      "AGENT_EDGE_DATA",
      "where a made secret is kept (default a temporary directory)",
    ),
  )
  .addOption(
    option(
      "--visitors <who>",
      "AGENT_EDGE_VISITORS",
      "who may send requests: open, or token (default open)",
    ),
  )
  .addOption(
    option(
      "--grace <time>",
      "AGENT_EDGE_GRACE",
      "how long requests survive the loss of their agent's connection (default 15s)",
    ),
  )
  .addOption(
    option(
      "--shards <n>",
      "AGENT_EDGE_SHARDS",
      "objects that each service is spread over, to try it: here they share one core (default 1)",
    ),
  )
  .addOption(json())
  .action((_options, command: Command) =>
    finish(command, async () => (await import("./commands/edge.ts")).edge),
  );

program
  .command("token")
  .description("print a signed token")
  .addOption(option("-s, --service <name>", "AGENT_SERVICE", "the service that it is for"))
  .addOption(
    option("--role <role>", "AGENT_ROLE", "what it allows: agent, or visitor (default agent)"),
  )
  .addOption(option("--expires <time>", "AGENT_EXPIRES", "how long it is good (default 90d)"))
  .addOption(
    option(
      "--secret-file <path>",
      "AGENT_SECRET_FILE",
      "the edge's secret; - is stdin (or set TUNNEL_SECRET)",
    ),
  )
  .action((_options, command: Command) =>
    finish(command, async () => (await import("./commands/token.ts")).token),
  );

/** The exit code is one of ours, or that of a command that we ran. */
type Run = (given: GivenValues, log: Log, operands: readonly string[]) => Promise<number>;

async function finish(command: Command, load: () => Promise<Run>): Promise<void> {
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

/** Every value with where it came from. An empty environment variable is as good as none. */
function givenOf(command: Command): GivenValues {
  const given: Record<string, Given> = {};
  for (const each of command.options) {
    const name = each.attributeName();
    const value: unknown = command.getOptionValue(name);
    const source = command.getOptionValueSource(name);
    if (source === "cli") {
      // One of two that say yes and no to the same.
      if (typeof value === "boolean" && each.negate === value) continue;
      given[name] = { text: String(value), from: each.long ?? name, flag: true };
    } else if (source === "env" && each.envVar !== undefined) {
      // For a flag without a value commander only knows that the variable is there.
      const text = process.env[each.envVar] ?? "";
      if (text !== "") given[name] = { text, from: each.envVar, flag: false };
    }
  }
  return given;
}

/** A reader that went away (`agent … | head`) is no reason to drop the tunnel. */
function ignoreClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
}

ignoreClosedOutput();
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exit(error.exitCode === 0 ? exits.clean : exits.usage);
}
