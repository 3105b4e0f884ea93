/** `agent connect -- npm run dev`: the server is started, served and ended together with the tunnel. */
import type { Agent } from "../agent.ts";
import { connectConfig, publicUrl, socketUrl } from "../config/config.ts";
import type { GivenValues } from "../config/given.ts";
import { metricsConfig } from "../config/metrics.ts";
import { exits, UsageError } from "../config/usage.ts";
import { DevServer } from "../dev-server/dev-server.ts";
import { onHangup, onSignals } from "../signals.ts";
import type { OpenLog } from "../terminal/open-log.ts";
import { agentToken } from "./agent-token.ts";
import { startInspector } from "./inspect.ts";
import { startMetrics } from "./metrics.ts";

/** How long a command may take to end when we cannot go on. */
const STOP_WITHIN_MS = 5000;

/** Starts the command and serves what it serves; both end together, and its exit code is ours. */
export async function develop(
  command: readonly [string, ...string[]],
  values: GivenValues,
  { log: all, live }: OpenLog,
): Promise<number> {
  const { port, origin, ...given } = values;
  // A development server turns away what is for a name that it does not know, wherever it finds that name.
  const rest: GivenValues = { publicName: { text: "no", from: "--", flag: false }, ...given };
  if (origin !== undefined && port === undefined) {
    throw new UsageError(
      `${origin.from} and a command say two different things: the command's server is the origin. Give its --port if it cannot be found.`,
    );
  }
  // Where it listens will be known later; everything else is checked before it starts.
  const draft = connectConfig({ ...rest, port: port ?? { text: "1", from: "--port", flag: true } });
  metricsConfig(values);
  const log = all.of(draft.service, "");
  const token = await agentToken(draft, rest, log);
  const server = new DevServer({
    command,
    port: port === undefined ? undefined : Number(port.text),
    publicUrl: publicUrl(draft),
    output: live?.output ?? process.stderr,
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
      const message = `"${server.name}" ended with exit code ${code} before it listened: what it printed says why. If it listens in the background give its --port.`;
      log.event({ event: "error", code: "command-ended", message });
      return code === 0 ? exits.runtime : code;
    }
    const text = `${address.scheme}://localhost:${address.port}`;
    const config = connectConfig({ ...rest, origin: { text, from: server.name, flag: true } });
    log.live(`${server.name} listens on ${text}; connecting to ${socketUrl(config).href}`);
    const inspector = await startInspector(values, (event) => log.event(event));
    const metrics = await startMetrics(values, (event) => log.event(event));
    const { newAgent } = await import("./new-agent.ts");
    const running = newAgent({ config, token, values, open: { log, live }, inspector, metrics });
    agent = running;
    const redial = (): void => running.redial("asked to dial again");
    onHangup(redial);
    if (live !== undefined) {
      const { listenForKeys } = await import("../terminal/hotkeys.ts");
      listenForKeys({ log, live, redial, secretFile: values["tokenFile"] });
    }
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
