/** `agent config show`: every value of `agent connect`, and where it comes from. It judges none of them (`config check` does). */
import { readFile } from "node:fs/promises";
import type { Command, Option } from "commander";
import { notAskedFor, readConfigFile, servicesOf } from "../config/config-file.ts";
import { type Given, type GivenValues, isOn } from "../config/given.ts";
import { secretSource } from "../config/secret.ts";
import { type ExitCode, exits } from "../config/usage.ts";
import { isToken, withoutPassword } from "../config/without-password.ts";
import { proxyFor } from "../connection/proxy.ts";
import type { OpenLog } from "../terminal/open-log.ts";
import { printableJson } from "../terminal/json.ts";
import { shown as visible } from "../terminal/text.ts";

/** Most values are shorter; longer ones push their source to the right. */
const VALUE_COLUMNS = 30;

/** One value. `from`: a flag, a variable, a file and its key, or "default". */
export interface Shown {
  readonly name: string;
  /** Undefined when it is nowhere. */
  readonly value: string | undefined;
  readonly from: string;
}

/** @throws UsageError when the configuration file cannot be used */
export async function configShow(
  given: GivenValues,
  { log }: OpenLog,
  _operands: readonly string[],
  command: Command,
): Promise<ExitCode> {
  const file = await readConfigFile(given["config"], process.cwd());
  const unread = await notAskedFor(given["config"], process.cwd());
  if (unread !== undefined) log.say(unread);
  const services = file === undefined ? [given] : servicesOf(file, given);
  const all: { readonly service: string | undefined; readonly values: readonly Shown[] }[] = [];
  for (const values of services) {
    const shown = await everyValueOf(command.options, values, process.env);
    all.push({ service: values["service"]?.text, values: shown });
  }
  if (isOn(given["json"])) {
    process.stdout.write(`${printableJson({ file: file?.path, services: all })}\n`);
    return exits.clean;
  }
  // Values are what somebody wrote into a file or a variable, which may be anything.
  const lines = [`configuration: ${file?.path ?? "no file, flags and environment alone"}`];
  for (const { service, values } of all) {
    lines.push("", `${visible(service ?? "(no service)")}:`);
    const name = Math.max(...values.map((each) => each.name.length));
    for (const each of values) {
      const text = visible(each.value ?? "-").padEnd(VALUE_COLUMNS);
      lines.push(`  ${each.name.padEnd(name)}  ${text}  ${visible(each.from)}`);
    }
  }
  process.stdout.write(`${lines.join("\n")}\n`);
  return exits.clean;
}

/** Those of the flags, the token's end, and the proxy. */
export async function everyValueOf(
  options: readonly Option[],
  given: GivenValues,
  environment: NodeJS.ProcessEnv,
): Promise<Shown[]> {
  return [
    ...valuesOf(options, given, environment),
    await tokenOf(given, environment),
    ...proxyOf(given, environment),
  ];
}

/** In the order of the flags. What a flag is without being given stands in brackets behind its description. */
export function valuesOf(
  options: readonly Option[],
  given: GivenValues,
  environment: NodeJS.ProcessEnv,
): Shown[] {
  const shown: Shown[] = [];
  for (const option of options) {
    const name = option.attributeName();
    // What says yes where saying no is the flag; and what is shown apart from these.
    if (option.hidden || name === "tokenFile" || name === "config") continue;
    const value = given[name];
    const truth = !option.required && !option.optional;
    const label = kebab(name);
    if (value !== undefined) {
      const said = truth ? (isOn(value) ? "yes" : "no") : value.text;
      shown.push({ name: label, value: withoutPassword(said), from: value.from });
      continue;
    }
    // An empty variable is as good as none, but one wonders.
    const empty = option.envVar !== undefined && environment[option.envVar] === "";
    const byDefault = truth ? (option.negate ? "yes" : "no") : defaultOf(option);
    shown.push({
      name: label,
      value: byDefault,
      from: empty ? `default (${option.envVar} is empty)` : "default",
    });
  }
  return shown;
}

/** `(default 64)` at the end of a description. */
function defaultOf({ description }: Option): string | undefined {
  return /\(default ([^()]*)\)$/.exec(description)?.[1];
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The end of a secret tells it from others, and gives nothing away; a short one has no end to spare. */
export function masked(secret: string): string {
  return secret.length < 16 ? "••••" : `••••${secret.slice(-4)}`;
}

async function tokenOf(given: GivenValues, environment: NodeJS.ProcessEnv): Promise<Shown> {
  const value: Given | undefined = given["tokenFile"];
  const { file, variable } = secretSource(value, "AGENT_TOKEN");
  const name = "token";
  if (file === undefined || value === undefined) {
    const text = environment[variable]?.trim() ?? "";
    return text === ""
      ? { name, value: undefined, from: "nowhere" }
      : { name, value: masked(text), from: variable };
  }
  if (file === "-") return { name, value: "(stdin, not read)", from: value.from };
  if (isToken(file)) return { name, value: "(no file's path)", from: value.from };
  const from = `${value.from}: ${file}`;
  try {
    const text = (await readFile(file, "utf8")).trim();
    return { name, value: text === "" ? "(empty)" : masked(text), from };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    return { name, value: `(${code})`, from };
  }
}

/** The way to the edge, where a company's proxy is on it. */
function proxyOf({ edge }: GivenValues, environment: NodeJS.ProcessEnv): Shown[] {
  if (edge === undefined || !URL.canParse(edge.text)) return [];
  try {
    const proxy = proxyFor(new URL(edge.text), environment);
    return proxy === undefined ? [] : [{ name: "proxy", value: proxy.url, from: proxy.variable }];
  } catch {
    return [];
  }
}
