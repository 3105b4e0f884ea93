/** `agent edge`: the Worker and its objects in a workerd of this machine. */
import { edgeConfig, type GivenValues } from "../config/config.ts";
import { secretSource } from "../config/secret.ts";
import { type ExitCode, exits } from "../config/usage.ts";
import { onSignals } from "../signals.ts";
import type { Log } from "../terminal/log.ts";
import type { Edge } from "../edge-here/workerd.ts";

/** @throws UsageError, EdgeError */
export async function edge(given: GivenValues, log: Log): Promise<ExitCode> {
  const config = edgeConfig(given);
  let running: Edge | undefined;
  const stop = (): void => {
    // What is not there yet goes with the process.
    if (running === undefined) process.exit(exits.clean);
    void running.stop();
  };
  onSignals(stop, stop);
  const { edgeSecret } = await import("../edge-here/edge-secret.ts");
  const secret = await edgeSecret(config, secretSource(given["secretFile"], "TUNNEL_SECRET"), log);
  log.live("starting the edge");
  const { startEdge } = await import("../edge-here/workerd.ts");
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
