/**
 * The edge in workerd, a demo origin, and an agent between them, in one terminal. The same code as `agent edge` and
 * `agent connect`, and one request through the tunnel as proof.
 */
import { randomBytes } from "node:crypto";
import { get } from "node:http";
import type { Agent } from "../agent.ts";
import { startInspector } from "../commands/inspect.ts";
import { newAgent } from "../commands/new-agent.ts";
import { connectConfig, type EdgeConfig, edgeConfig } from "../config/config.ts";
import type { GivenValues } from "../config/given.ts";
import { type ExitCode, exits } from "../config/usage.ts";
import { signToken } from "../edge-here/token.ts";
import { type Edge, EdgeError, startEdge } from "../edge-here/workerd.ts";
import { onSignals } from "../signals.ts";
import { listenForKeys } from "../terminal/hotkeys.ts";
import type { Log } from "../terminal/log.ts";
import type { OpenLog } from "../terminal/open-log.ts";
import { startDemoOrigin } from "./origin.ts";

const SERVICE = "demo";
const DAY_MS = 86_400_000;
/** Nobody waits for the end of an endless event stream. */
const GRACE = "2s";
/** How many ports after the wanted one are tried. */
const PORTS_TRIED = 20;

/** Runs until it is told to end. @throws UsageError, EdgeError */
export async function demo(given: GivenValues, open: OpenLog): Promise<ExitCode> {
  const { log, live } = open;
  const domain = { text: "localhost", from: "--domain", flag: true };
  const wanted = edgeConfig({ ...given, domain });
  let agent: Agent | undefined;
  onSignals(
    () => {
      // What is not there yet goes with the process.
      if (agent === undefined) process.exit(exits.clean);
      agent.drain();
    },
    () => agent?.stop(),
  );
  if (live !== undefined) {
    const redial = (): void => agent?.redial("asked to dial again");
    listenForKeys({ log, live, redial, secretFile: undefined });
  }
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
  const inspector = await startInspector({}, (event) => log.event(event));
  agent = newAgent({ config, token, values: {}, open, inspector, metrics: undefined });
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
      log.block(`
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
