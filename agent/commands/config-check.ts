/** `agent config check`: whether `agent connect` could run with what is given, and what it would run. Nothing is dialled. */
import { type ConnectConfig, connectConfig, publicUrl } from "../config/config.ts";
import { notAskedFor, readConfigFile, servicesOf } from "../config/config-file.ts";
import { type GivenValues, isOn } from "../config/given.ts";
import { inspectConfig } from "../config/inspect.ts";
import { metricsConfig } from "../config/metrics.ts";
import { readCertificates } from "../config/pem.ts";
import { type ExitCode, exits, UsageError } from "../config/usage.ts";
import { flawOf, makeToken } from "../connection/refused-token.ts";
import type { OpenLog } from "../terminal/open-log.ts";
import { agentToken } from "./agent-token.ts";

/** @throws UsageError that names what is wrong */
export async function configCheck(given: GivenValues, { log }: OpenLog): Promise<ExitCode> {
  const file = await readConfigFile(given["config"], process.cwd());
  const unread = await notAskedFor(given["config"], process.cwd());
  if (unread !== undefined) log.say(unread);
  const services = file === undefined ? [given] : servicesOf(file, given);
  inspectConfig(given, false);
  metricsConfig(given);
  const found: { readonly config: ConnectConfig; readonly token: string }[] = [];
  for (const values of services) {
    const config = connectConfig(values);
    if (config.ca !== undefined) readCertificates(config.ca, "--ca");
    if (config.originCa !== undefined) readCertificates(config.originCa, "--origin-ca");
    // Reading stdin would take it from whoever it is meant for.
    if (values["tokenFile"]?.text === "-") {
      found.push({ config, token: "a token from stdin" });
      continue;
    }
    const token = await agentToken(config, values, log);
    const flaw = flawOf(token, config.service, Date.now());
    if (flaw !== undefined) {
      const whose = values["tokenFile"]?.text ?? "AGENT_TOKEN";
      throw new UsageError(
        `The token (${whose}) is of no use: ${flaw}. Make one with ${makeToken(config.service)}.`,
      );
    }
    found.push({ config, token: values["tokenFile"]?.text ?? "AGENT_TOKEN" });
  }
  if (isOn(given["json"])) {
    const services = found.map(({ config }) => ({
      service: config.service,
      url: publicUrl(config),
      origin: config.origin.label + config.basePath,
    }));
    process.stdout.write(`${JSON.stringify({ ok: true, file: file?.path, services })}\n`);
    return exits.clean;
  }
  const lines = [`configuration: ${file?.path ?? "no file, flags and environment alone"}`];
  for (const { config, token } of found) {
    const origin = config.origin.label + config.basePath;
    lines.push(`  ${config.service}: ${publicUrl(config)} → ${origin}, token: ${token}`);
  }
  const many = found.length === 1 ? "1 service" : `${found.length} services`;
  lines.push(`good: \`agent connect\` would run ${many}; \`agent doctor\` tries it out`);
  process.stdout.write(`${lines.join("\n")}\n`);
  return exits.clean;
}
