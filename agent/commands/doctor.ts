/** `agent doctor`: what of a tunnel works from here, what does not, and what to do about it. */
import { type GivenValues, isOn } from "../config/given.ts";
import { notAskedFor, readConfigFile, servicesOf } from "../config/config-file.ts";
import { durationMs } from "../config/duration.ts";
import { type ExitCode, exits, UsageError } from "../config/usage.ts";
import { examine, exitOf } from "../doctor/examine.ts";
import { Printer } from "../doctor/printer.ts";
import { type Examined, reportFile, reportOf } from "../doctor/report.ts";
import { sceneOf } from "../doctor/scene.ts";
import { Secrets } from "../doctor/secrets.ts";
import type { OpenLog } from "../terminal/open-log.ts";
import { paintFor, plain } from "../terminal/text.ts";
import { agentToken } from "./agent-token.ts";

/** What most proxies leave alone; enough to meet the worst. */
const IDLE_MS = 5000;

/** Beyond it nobody waits at a terminal. */
const MOST_IDLE_MS = 3_600_000;

/** @returns 0 when nothing failed, else what the first failure says. @throws UsageError for its own flags */
export async function doctor(given: GivenValues, { log }: OpenLog): Promise<ExitCode> {
  const idleMs = idleOf(given);
  const write = given["report"] === undefined ? undefined : await reportFile(given["report"].text);
  const environment = process.env;
  const secrets = new Secrets(environment);
  for (const value of Object.values(given)) secrets.addUrl(value?.text ?? "");
  const { stdout, stderr } = process;
  const json = isOn(given["json"]);
  const noColour = given["color"] !== undefined && !isOn(given["color"]);
  const paint = noColour ? plain : paintFor(json ? stderr : stdout);
  const printer = new Printer({ json, stdout, stderr, secrets, paint, now: Date.now });
  const examined: Examined[] = [];
  const unread = await notAskedFor(given["config"], process.cwd());
  if (unread !== undefined) log.say(unread);
  const { services, fault } = await servicesToExamine(given);
  for (const values of services) {
    const name = values["service"]?.text ?? "";
    const witness = printer.witness(name, services.length > 1 ? name : "");
    const results = await examine(() => {
      if (fault !== undefined) throw fault;
      return sceneOf(values, {
        environment,
        idleMs,
        readToken: async (config) => {
          const token = await agentToken(config, values, log);
          secrets.add(token);
          secrets.add(token.split(".").at(-1));
          return token;
        },
      });
    }, witness);
    printer.summary(name, results);
    examined.push({ service: name, given: values, results });
  }
  await write?.(reportOf(examined, { environment, secrets, nowMs: Date.now() }));
  if (given["report"] !== undefined) log.say(`the report is in ${given["report"].text}`);
  const codes = examined.map(({ results }) => exitOf(results));
  return codes.find((code) => code !== exits.clean) ?? exits.clean;
}

/** Those of a configuration file, or the one of the flags; what is wrong with the file is for the first check to tell. */
async function servicesToExamine(
  given: GivenValues,
): Promise<{ readonly services: readonly GivenValues[]; readonly fault?: UsageError }> {
  try {
    const file = await readConfigFile(given["config"], process.cwd());
    const services = file === undefined ? [given] : servicesOf(file, given);
    if (services.length > 1 && (process.env["AGENT_TOKEN"] ?? "") !== "") {
      throw new UsageError(
        "AGENT_TOKEN is for one service, and there are several: give each its tokenFile, or say which with --service.",
      );
    }
    return { services };
  } catch (fault) {
    if (!(fault instanceof UsageError)) throw fault;
    return { services: [given], fault };
  }
}

function idleOf({ idle }: GivenValues): number {
  if (idle === undefined) return IDLE_MS;
  const ms = durationMs(idle.text);
  if (ms !== undefined && ms <= MOST_IDLE_MS) return ms;
  throw new UsageError(
    `${idle.from} must be a time like 5s or 2m, at most 1h, or 0 for none, not ${JSON.stringify(idle.text)}.`,
  );
}
