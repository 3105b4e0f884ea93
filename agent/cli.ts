#!/usr/bin/env node
/**
 * The command line: flags to configuration, signals to drain, ends to exit codes. What a command does is elsewhere, and
 * is loaded only when the command runs, so that the first line is out at once.
 */
import "./young-heap.ts";
import { Command, CommanderError, Option } from "commander";
import type { Agent } from "./agent.ts";
import { BatchedSink } from "./batched-sink.ts";
import { PROTOCOL } from "../codec/limits.ts";
import {
  type ConnectConfig,
  connectConfig,
  edgeConfig,
  type Given,
  type GivenValues,
  isOn,
  publicUrl,
  socketUrl,
  tokenConfig,
} from "./config.ts";
import { Log } from "./log.ts";
import { checkSecret, readSecret, surroundings } from "./secret.ts";
import { onSignals } from "./signals.ts";
import { VERSION } from "./software.ts";
import { type ExitCode, exits, UsageError } from "./usage.ts";
import type { Edge } from "./workerd.ts";

/** How long a command may take to end when we cannot go on. */
const STOP_WITHIN_MS = 5000;

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
  .action((_operands, _options, command: Command) => finish(command, connect));

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
  .action((_options, command: Command) => finish(command, edge));

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
  .action((_options, command: Command) => finish(command, token));

/** The exit code is one of ours, or that of a command that we ran. */
type Run = (given: GivenValues, log: Log, operands: readonly string[]) => Promise<number>;

async function finish(command: Command, run: Run): Promise<void> {
  const given = givenOf(command);
  const log = new Log({
    json: isOn(given["json"]),
    stdout: new BatchedSink(process.stdout),
    stderr: new BatchedSink(process.stderr),
    now: Date.now,
  });
  try {
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

async function connect(given: GivenValues, log: Log, operands: readonly string[]): Promise<number> {
  const command = commandOf(operands, process.argv);
  const { readConfigFile, servicesOf } = await import("./config-file.ts");
  const file = await readConfigFile(given["config"], process.cwd());
  if (file !== undefined) log.note(`configuration: ${file.path}`);
  const services = file === undefined ? [given] : servicesOf(file, given);
  const several = services.length > 1;
  if (several && (process.env["AGENT_TOKEN"] ?? "") !== "") {
    throw new UsageError(
      "AGENT_TOKEN is for one service, and there are several: give each its tokenFile, or say which with --service.",
    );
  }
  if (command !== undefined) {
    const [values] = services;
    if (values === undefined || several) {
      throw new UsageError(
        "A command is the server of one service, and there are several: say which with --service.",
      );
    }
    return develop(command, values, log);
  }
  const wanted: { readonly config: ConnectConfig; readonly token: string }[] = [];
  for (const values of services) {
    const config = connectConfig(values);
    wanted.push({ config, token: await agentToken(config, values, log) });
  }
  for (const { config } of wanted) log.live(`connecting to ${socketUrl(config).href}`);
  const { Agent } = await import("./agent.ts");
  const width = several ? Math.max(...wanted.map(({ config }) => config.service.length)) : 0;
  const agents = wanted.map(({ config, token }) => {
    const { service } = config;
    return new Agent(config, token, log.of(service, several ? service.padEnd(width) : ""));
  });
  process.on("SIGHUP", () => {
    for (const agent of agents) agent.redial("asked to dial again");
  });
  onSignals(
    () => {
      for (const agent of agents) agent.drain();
    },
    () => {
      for (const agent of agents) agent.stop();
    },
  );
  // A service that cannot go on is no reason to end the others.
  const codes = await Promise.all(agents.map((agent) => agent.run()));
  return codes.find((code) => code !== exits.clean) ?? exits.clean;
}

/** What follows `--`: whatever else is no flag is a mistake, and no command. */
function commandOf(
  operands: readonly string[],
  argv: readonly string[],
): readonly [string, ...string[]] | undefined {
  const mark = argv.indexOf("--");
  const behind = mark === -1 ? [] : argv.slice(mark + 1);
  if (operands.length > behind.length) {
    throw new UsageError(
      `"${operands[0] ?? ""}" is no flag. A command that starts the server goes behind --, as in \`agent connect -- npm run dev\`.`,
    );
  }
  const [program, ...parameters] = behind;
  if (program !== undefined) return [program, ...parameters];
  if (mark !== -1) throw new UsageError("Behind -- the command is missing that starts the server.");
  return undefined;
}

/** Starts the command and serves what it serves; both end together, and its exit code is ours. */
async function develop(
  command: readonly [string, ...string[]],
  values: GivenValues,
  log: Log,
): Promise<number> {
  const { port, origin, ...rest } = values;
  if (origin !== undefined && port === undefined) {
    throw new UsageError(
      `${origin.from} and a command say two different things: the command's server is the origin. Give its --port if it cannot be found.`,
    );
  }
  // Where it listens will be known later; everything else is checked before it starts.
  const draft = connectConfig({ ...rest, port: port ?? { text: "1", from: "--port", flag: true } });
  const token = await agentToken(draft, rest, log);
  const { DevServer } = await import("./dev-server.ts");
  const server = new DevServer({
    command,
    port: port === undefined ? undefined : Number(port.text),
    publicUrl: publicUrl(draft),
    output: process.stderr,
    environment: process.env,
  });
  let agent: Agent | undefined;
  let asked = false;
  onSignals(
    (signal) => {
      asked = true;
      agent?.drain();
      server.end(signal, draft.graceMs);
    },
    () => {
      agent?.stop();
      server.kill();
    },
  );
  log.say(`started ${server.name}; SLUICE_URL is ${publicUrl(draft)}`);
  try {
    const address = await server.listening();
    if (address === undefined) {
      const code = await server.ended;
      if (asked) return code;
      const message = `"${server.name}" ended with exit code ${code} before it listened.`;
      log.event({ event: "error", code: "command-ended", message });
      return code === 0 ? exits.runtime : code;
    }
    const text = `${address.scheme}://localhost:${address.port}`;
    const config = connectConfig({ ...rest, origin: { text, from: server.name, flag: true } });
    log.live(`${server.name} listens on ${text}; connecting to ${socketUrl(config).href}`);
    const module = await import("./agent.ts");
    const running = new module.Agent(config, token, log);
    agent = running;
    process.on("SIGHUP", () => running.redial("asked to dial again"));
    void server.ended.then((code) => {
      if (!asked) log.say(`${server.name} ended with exit code ${code}`);
      running.drain();
    });
    const code = await running.run();
    if (!asked) server.end("SIGTERM", draft.graceMs);
    const its = await server.ended;
    return code === exits.clean ? its : code;
  } catch (error) {
    server.end("SIGTERM", STOP_WITHIN_MS);
    await server.ended.catch(() => {});
    throw error;
  }
}

async function agentToken(config: ConnectConfig, given: GivenValues, log: Log): Promise<string> {
  const secret = await readSecret(
    { what: "token", ...fileOf(given["tokenFile"], "AGENT_TOKEN") },
    surroundings(log),
  );
  if (secret === undefined) {
    throw new UsageError(
      `A token is missing for "${config.service}": give --token-file, or set AGENT_TOKEN. Whoever has the edge's secret makes one with \`agent token\`.`,
    );
  }
  if (!/^[\x21-\x7e]+$/.test(secret)) {
    throw new UsageError("The token must be one word, as `agent token` prints it.");
  }
  return secret;
}

async function edge(given: GivenValues, log: Log): Promise<ExitCode> {
  const config = edgeConfig(given);
  let running: Edge | undefined;
  const stop = (): void => {
    // What is not there yet goes with the process.
    if (running === undefined) process.exit(exits.clean);
    void running.stop();
  };
  onSignals(stop, stop);
  const { edgeSecret } = await import("./edge-secret.ts");
  const secret = await edgeSecret(config, fileOf(given["secretFile"], "TUNNEL_SECRET"), log);
  log.live("starting the edge");
  const { startEdge } = await import("./workerd.ts");
  running = await startEdge(config, secret);
  const { url, ended } = running;
  log.event({ event: "listening", url });
  log.url(url);
  log.field("Edge", url);
  const hosts =
    config.domain === undefined
      ? ""
      : ` and http://<service>.${config.domain}:${new URL(url).port}/`;
  log.say(`listening; services are at ${url}/send/<service>/${hosts}`);
  await ended;
  return exits.clean;
}

async function token(given: GivenValues, log: Log): Promise<ExitCode> {
  const config = tokenConfig(given);
  const secret = await readSecret(
    { what: "secret", ...fileOf(given["secretFile"], "TUNNEL_SECRET") },
    surroundings(log),
  );
  if (secret === undefined) {
    throw new UsageError("The edge's secret is missing: give --secret-file, or set TUNNEL_SECRET.");
  }
  checkSecret(secret);
  const { signToken } = await import("./token.ts");
  const { service, role, expiresMs } = config;
  const nowMs = Date.now();
  const signed = await signToken({ service, role, nowMs, expiresMs: nowMs + expiresMs }, secret);
  process.stdout.write(`${signed}\n`);
  return exits.clean;
}

/** A file that a flag names, then the variable with the secret itself, then a file that a variable names. */
function fileOf(
  given: Given | undefined,
  variable: string,
): { file: string | undefined; flag: string; variable: string } {
  const shadowed = given?.flag === false && (process.env[variable] ?? "") !== "";
  return {
    file: shadowed ? undefined : given?.text,
    flag: given?.from ?? "",
    variable,
  };
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
