/**
 * Every flag of every command: its words, its environment variable, its help. What a value may be is `config.ts`'s.
 *
 * Nothing here reads a value or runs anything, so that help, completion and the documentation can be made from it.
 */
import { type Command, Option } from "commander";
import { formats } from "../terminal/formats.ts";
import { levels } from "../terminal/levels.ts";

/** A flag and its environment variable. */
export function option(flags: string, variable: string, description: string): Option {
  return new Option(flags, description).env(variable);
}

/** What is said, where and how. */
export function outputFlags(command: Command): Command {
  return command
    .optionsGroup("Output:")
    .addOption(option("--json", "AGENT_JSON", "events on stdout, one JSON object a line"))
    .addOption(
      choice(
        option(
          "--log-format <format>",
          "AGENT_LOG_FORMAT",
          "what people, or log collectors, read on stderr (default auto)",
        ),
        formats,
      ),
    )
    .addOption(
      choice(
        option("--log-level <level>", "AGENT_LOG_LEVEL", "the least that is said (default info)"),
        levels,
      ),
    )
    .addOption(
      option("--no-color", "AGENT_COLOR", "no colours (the variable: 0; also NO_COLOR, TERM=dumb)"),
    )
    .addOption(new Option("--color").hideHelp());
}

/** Words that help and completion offer. `config.ts` checks them, and complains in its own words. */
function choice(flag: Option, words: readonly string[]): Option {
  flag.argChoices = [...words];
  return flag;
}

/** Those of `agent connect`. */
export function connectFlags(command: Command): Command {
  command
    .optionsGroup("Where to:")
    .addOption(option("-e, --edge <url>", "AGENT_EDGE", "the URL of your edge"))
    .addOption(option("-s, --service <name>", "AGENT_SERVICE", "the service that the server is"))
    .addOption(
      option(
        "--token-file <file>",
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
        "all of this for one or several services, as JSON: only a file that you trust",
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
    .addOption(
      option(
        "--no-public-name",
        "AGENT_PUBLIC_NAME",
        "let it believe that it is visited at its own address, as development servers want (the variable: 0; default behind --, where --public-name tells it)",
      ),
    )
    .addOption(new Option("--public-name").hideHelp())
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
    .addOption(
      option(
        "--inspect-port <port>",
        "AGENT_INSPECT_PORT",
        "where the page that shows exchanges is; 0 lets the system choose (default 4040 or the next, on a terminal)",
      ),
    )
    .addOption(option("--no-inspect", "AGENT_INSPECT", "without that page (the variable: 0)"))
    .addOption(new Option("--inspect").hideHelp())
    .addOption(
      metricsFlag("tell Prometheus and health checks how it goes, at this address or port"),
    );
  return outputFlags(command).addOption(
    option("--qr", "AGENT_QR", "show the public URL as a QR code"),
  );
}

/** The same address for who tells and who asks. */
function metricsFlag(description: string): Option {
  return option("--metrics <address>", "AGENT_METRICS", description);
}

/** Those of `agent ready`. */
export function readyFlags(command: Command): Command {
  return command
    .addOption(metricsFlag("where the agent tells how it is: what `agent connect` was given"))
    .addOption(
      option("--timeout <time>", "AGENT_READY_TIMEOUT", "how long it may take (default 2s)"),
    );
}

/** Those of `agent doctor`: what `agent connect` would be given, and how to look at it. */
export function doctorFlags(command: Command): Command {
  return connectFlags(command)
    .optionsGroup("Looking:")
    .addOption(
      option(
        "--idle <time>",
        "AGENT_IDLE",
        "how long to leave a connection silent, 0 for not at all (default 5s)",
      ),
    )
    .addOption(
      option(
        "--report <file>",
        "AGENT_REPORT",
        "write all of it to a file, without secrets, for whoever helps",
      ),
    );
}

/** Those of `agent edge`. */
export function edgeFlags(command: Command): Command {
  command
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
        "--secret-file <file>",
        "AGENT_SECRET_FILE",
        "what signs tokens; - is stdin (or set TUNNEL_SECRET; made when missing)",
      ),
    )
    .addOption(
      option(
        "--previous-secret-file <file>",
        "AGENT_PREVIOUS_SECRET_FILE",
        "the secret before the last change: its tokens stay good (or set TUNNEL_SECRET_PREVIOUS)",
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
      choice(
        option(
          "--visitors <who>",
          "AGENT_EDGE_VISITORS",
          "who may send requests: everybody, or who has a token (default open)",
        ),
        ["open", "token"],
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
        "--drain <time>",
        "AGENT_EDGE_DRAIN",
        "how long requests in flight may finish after the first signal (default 10s)",
      ),
    )
    .addOption(
      option(
        "--tls-cert <file>",
        "AGENT_EDGE_TLS_CERT",
        "speak https: the certificate and its chain, a PEM file; SIGHUP reads it again",
      ),
    )
    .addOption(option("--tls-key <file>", "AGENT_EDGE_TLS_KEY", "its private key, a PEM file"))
    .addOption(
      option(
        "--shards <n>",
        "AGENT_EDGE_SHARDS",
        "objects that each service is spread over, to try it: here they share one core (default 1)",
      ),
    );
  return outputFlags(command);
}

/** Those of `agent token`. */
export function tokenFlags(command: Command): Command {
  return command
    .addOption(option("-s, --service <name>", "AGENT_SERVICE", "the service that it is for"))
    .addOption(
      choice(option("--role <role>", "AGENT_ROLE", "whom it is for (default agent)"), [
        "agent",
        "visitor",
      ]),
    )
    .addOption(option("--expires <time>", "AGENT_EXPIRES", "how long it is good (default 90d)"))
    .addOption(
      option(
        "--secret-file <file>",
        "AGENT_SECRET_FILE",
        "the edge's secret; - is stdin (or set TUNNEL_SECRET)",
      ),
    );
}
