/**
 * `npm start`: the edge in workerd, a demo origin, and an agent between them, in one terminal. The same code as
 * `agent edge` and `agent connect`, and one request through the tunnel as proof.
 */
import "../young-heap.ts";
import { randomBytes } from "node:crypto";
import { get } from "node:http";
import { Command, CommanderError, Option } from "commander";
import { BatchedSink } from "../terminal/batched-sink.ts";
import { Agent } from "../agent.ts";
import { connectConfig, type EdgeConfig, edgeConfig } from "../config/config.ts";
import { Log } from "../terminal/log.ts";
import { onSignals } from "../signals.ts";
import { signToken } from "../edge-here/token.ts";
import { type ExitCode, exits, UsageError } from "../config/usage.ts";
import { type Edge, EdgeError, startEdge } from "../edge-here/workerd.ts";
import { startDemoOrigin } from "./origin.ts";

const SERVICE = "demo";
const DAY_MS = 86_400_000;
/** Nobody waits for the end of an endless event stream. */
const GRACE = "2s";
/** How many ports after the wanted one are tried. */
const PORTS_TRIED = 20;

async function start(wanted: EdgeConfig, log: Log): Promise<ExitCode> {
  let agent: Agent | undefined;
  onSignals(
    () => {
      // What is not there yet goes with the process.
      if (agent === undefined) process.exit(exits.clean);
      agent.drain();
    },
    () => agent?.stop(),
  );
  log.live("starting the edge, a demo origin and an agent");
  // Nobody else needs to make tokens for this edge.
  const secret = randomBytes(32).toString("hex");
  const origin = await startDemoOrigin();
  const edge = await startOnFreePort(wanted, secret, log);
  const nowMs = Date.now();
  const token = await signToken(
    { service: SERVICE, role: "agent", nowMs, expiresMs: nowMs + 3650 * DAY_MS },
    secret,
  );
  const config = connectConfig({
    edge: { text: edge.url, from: "--edge", flag: true },
    service: { text: SERVICE, from: "--service", flag: true },
    port: { text: String(origin.port), from: "--port", flag: true },
    grace: { text: GRACE, from: "--grace", flag: true },
  });
  agent = new Agent({ config, token, report: (event) => log.event(event) });
  const exit = agent.run();
  // Whichever part ends first ends the others.
  const edgeDied = edge.ended.then(
    () => exits.clean,
    (error: Error) => {
      log.event({ event: "error", code: "failed", message: error.message });
      agent?.stop();
      return exits.runtime;
    },
  );
  void agent.connected.then(() => prove(edge.url, log));
  const code = await Promise.race([exit, edgeDied]);
  await edge.stop().catch(() => {});
  await origin.stop();
  log.say("stopped");
  return code;
}

/** One request through the tunnel, and what a person may try next. */
function prove(edgeUrl: string, log: Log): void {
  const url = `${edgeUrl}/send/${SERVICE}/`;
  const id = `proof-${process.pid}`;
  get(`${url}?id=${id}`, { agent: false }, (response) => {
    response.setEncoding("utf8");
    let body = "";
    response.on("data", (text: string) => (body += text));
    response.on("end", () => {
      if (response.statusCode !== 200 || !body.includes(id)) {
        log.say(`the first request through the tunnel failed: ${response.statusCode} ${body}`);
        return;
      }
      log.say("it works: the request above went through the tunnel. Try it:");
      log.say(`
  curl ${url}
  curl ${url}download -o /dev/null
  curl -N ${url}events
  curl -N -T - ${url}echo

Ctrl-C ends it.`);
    });
  }).on("error", (error) => {
    log.say(`the first request through the tunnel failed: ${error.message}`);
  });
}

/** The wanted port, or the next one that is free. */
async function startOnFreePort(wanted: EdgeConfig, secret: string, log: Log): Promise<Edge> {
  const secrets = { current: secret, previous: undefined };
  const parts = { secrets, keypair: undefined, inherited: undefined };
  for (let port = wanted.port; ; port++) {
    try {
      return await startEdge({ ...wanted, port }, parts);
    } catch (error) {
      if (!(error instanceof EdgeError) || !error.portTaken) throw error;
      if (port >= Math.min(65_535, wanted.port + PORTS_TRIED)) throw error;
      log.say(`port ${port} is taken, trying ${port + 1}`);
    }
  }
}

const program = new Command("npm start --")
  .description("The tunnel at work on this machine: edge, demo origin and agent.")
  .addOption(new Option("-p, --port <port>", "where the edge listens (default 8787)").env("PORT"))
  .option("--json", "events on stdout, one JSON object a line")
  .exitOverride();
let exit: ExitCode = exits.clean;
const log = new Log({
  json: process.argv.includes("--json"),
  stdout: new BatchedSink(process.stdout),
  stderr: new BatchedSink(process.stderr),
  now: Date.now,
});
try {
  program.parse();
  const port = program.getOptionValue("port");
  const from = program.getOptionValueSource("port") === "cli" ? "--port" : "PORT";
  const given = typeof port === "string" ? { port: { text: port, from, flag: true } } : {};
  exit = await start(
    edgeConfig({ ...given, domain: { text: "localhost", from: "--domain", flag: true } }),
    log,
  );
} catch (error) {
  if (error instanceof CommanderError) {
    exit = error.exitCode === 0 ? exits.clean : exits.usage;
  } else {
    log.event({
      event: "error",
      code: error instanceof UsageError ? "usage" : "failed",
      message: error instanceof Error ? error.message : String(error),
    });
    exit = error instanceof UsageError ? exits.usage : exits.runtime;
  }
}
process.exit(exit);
