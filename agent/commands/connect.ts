/** `agent connect`: one agent for each service, until they are asked to end. */
import { type ConnectConfig, connectConfig, socketUrl } from "../config/config.ts";
import type { GivenValues } from "../config/given.ts";
import { notAskedFor, readConfigFile, servicesOf } from "../config/config-file.ts";
import { exits, UsageError } from "../config/usage.ts";
import { onHangup, onSignals } from "../signals.ts";
import type { OpenLog } from "../terminal/open-log.ts";
import { agentToken } from "./agent-token.ts";
import { develop } from "./develop.ts";
import { startInspector } from "./inspect.ts";
import { startMetrics } from "./metrics.ts";

/** @returns the exit code: one of ours, or that of a command that we ran. @throws UsageError */
export async function connect(
  given: GivenValues,
  { log, live }: OpenLog,
  operands: readonly string[],
): Promise<number> {
  const command = commandOf(operands, process.argv);
  const file = await readConfigFile(given["config"], process.cwd());
  const unread = await notAskedFor(given["config"], process.cwd());
  if (unread !== undefined) log.say(unread);
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
    return develop(command, values, { log, live });
  }
  const wanted: {
    readonly config: ConnectConfig;
    readonly token: string;
    readonly values: GivenValues;
  }[] = [];
  for (const values of services) {
    const config = connectConfig(values);
    wanted.push({ config, token: await agentToken(config, values, log), values });
  }
  const width = several ? Math.max(...wanted.map(({ config }) => config.service.length)) : 0;
  const logs = wanted.map(({ config }) => {
    const own = log.of(config.service, several ? config.service.padEnd(width) : "");
    own.live(`connecting to ${socketUrl(config).href}`);
    return own;
  });
  const inspector = await startInspector(given, (event) => log.event(event));
  const metrics = await startMetrics(given, (event) => log.event(event));
  const { newAgent } = await import("./new-agent.ts");
  const agents = wanted.map((each, index) =>
    newAgent({ ...each, open: { log: logs[index] ?? log, live }, inspector, metrics }),
  );
  const redial = (): void => {
    for (const agent of agents) agent.redial("asked to dial again");
  };
  onHangup(redial);
  onSignals(
    () => {
      for (const agent of agents) agent.drain();
    },
    () => {
      for (const agent of agents) agent.stop();
    },
  );
  if (live !== undefined) {
    const { listenForKeys } = await import("../terminal/hotkeys.ts");
    listenForKeys({ log, live, redial, secretFile: given["tokenFile"] });
  }
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
  if (mark !== -1) {
    throw new UsageError(
      "Behind -- the command is missing that starts the server, as in `agent connect -- npm run dev`.",
    );
  }
  return undefined;
}
