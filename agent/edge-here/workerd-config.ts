/** What workerd is told: the text of its configuration, and the environment that has the secrets in it. */
import { readFile } from "node:fs/promises";
import type { EdgeConfig } from "../config/config.ts";
import type { Keypair } from "../config/pem.ts";
import { UsageError } from "../config/usage.ts";

/** What signs tokens. */
export interface Secrets {
  readonly current: string;
  /** The one before the last change: tokens made with it are good until they expire. */
  readonly previous: string | undefined;
}

/** What an edge is started with beside what was asked for. */
export interface EdgeParts {
  readonly secrets: Secrets;
  /** What it speaks https with; plain HTTP when undefined. */
  readonly keypair: Keypair | undefined;
  /** A listening socket that we have; workerd makes its own when undefined. */
  readonly inherited: number | undefined;
}

/** The bundle beside the configuration. */
export const WORKER_FILE = "worker.js";

/** Where the process that has started workerd talks to it, beside the configuration. Only the owner gets there. */
export const CONTROL_FILE = "control";

/**
 * How long requests wait for an agent after a start in which we were handed the socket: it may be a restart, from which
 * agents come back within two seconds, later where a machine is busy, and what waits in the socket would be told that there
 * are none.
 */
const AGENTS_COME_MS = 10_000;

/**
 * V8 collects early instead of letting a young heap grow to 32 MiB: most of what the edge allocates is bodies that live
 * for a millisecond. It saves some 50 MiB beside 500 stalled visitors and costs a download nothing that we could measure.
 */
const V8_FLAGS = [
  "--max-semi-space-size=1",
  "--min-semi-space-size=1",
  "--initial-old-space-size=4",
];

/** Secrets go this way: the configuration is a file. */
export function secretVariables({ secrets }: EdgeParts): Record<string, string> {
  const { current, previous } = secrets;
  return {
    TUNNEL_SECRET: current,
    ...(previous === undefined ? {} : { TUNNEL_SECRET_PREVIOUS: previous }),
  };
}

/**
 * The configuration's text. The key of a certificate is in it.
 * @param control the path of the Unix socket to us; undefined where there are none
 */
export async function workerdConfig(
  config: EdgeConfig,
  parts: EdgeParts,
  control: string | undefined,
): Promise<string> {
  const { host, port, domain, visitors, graceMs, shards } = config;
  const wrangler = await readFile(new URL("../../wrangler.toml", import.meta.url), "utf8");
  const date = /^compatibility_date = (".*")$/m.exec(wrangler)?.[1];
  const flags = /^compatibility_flags = (\[.*\])$/m.exec(wrangler)?.[1] ?? "[]";
  if (date === undefined) throw new UsageError("wrangler.toml has no compatibility_date.");
  const variables = {
    VISITORS: visitors === "open" ? "public" : "token",
    TUNNEL_DOMAIN: domain,
    GRACE_SECONDS: String(graceMs / 1000),
    SHARDS: String(shards),
    AGENTS_EXPECTED_UNTIL:
      parts.inherited === undefined ? undefined : String(Date.now() + AGENTS_COME_MS),
  };
  const bindings = Object.entries(variables)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`);
  for (const name of Object.keys(secretVariables(parts))) {
    bindings.push(`(name = "${name}", fromEnvironment = "${name}")`);
  }
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const sockets = [
    `(name = "http", address = ${JSON.stringify(address)}, ${protocol(parts.keypair)}, service = "edge")`,
  ];
  if (control !== undefined) {
    sockets.push(
      `(name = "control", address = ${JSON.stringify(`unix:${control}`)}, http = (), service = (name = "edge", entrypoint = "control"))`,
    );
  }
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    # The Worker dials nobody, so nobody may be dialled; what is there otherwise wants the system's CA certificates.
    (name = "internet", network = (allow = [])),
  ],
  sockets = [
    ${sockets.join(",\n    ")},
  ],
  v8Flags = ${JSON.stringify(V8_FLAGS)},
);

const edge :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "${WORKER_FILE}")],
  compatibilityDate = ${date},
  compatibilityFlags = ${flags},
  bindings = [
    (name = "CORRELATOR", durableObjectNamespace = "Correlator"),
    ${bindings.join(",\n    ")},
  ],
  durableObjectNamespaces = [(className = "Correlator", uniqueKey = "sluice", enableSql = true)],
  # The objects store nothing: an agent that dials again brings everything back.
  durableObjectStorage = (inMemory = void),
);
`;
}

function protocol(keypair: Keypair | undefined): string {
  if (keypair === undefined) return "http = ()";
  const { cert, key } = keypair;
  const pair = `(privateKey = ${JSON.stringify(key)}, certificateChain = ${JSON.stringify(cert)})`;
  return `https = (options = (), tlsOptions = (keypair = ${pair}))`;
}
