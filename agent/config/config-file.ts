/**
 * A configuration file: the flags of `agent connect` for one service or several, as JSON. Its values are worth less than
 * flags and the environment, and are checked as those are (`config.ts`).
 *
 * It holds no secrets, only the paths of files with them; relative ones begin at the file's own directory.
 *
 * None is read that nobody asked for: it says which files are sent to which edge and what of this machine is opened to it, so
 * that one in a repository that somebody has cloned could take every token that it finds, AGENT_TOKEN first.
 */
import { access, readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import * as v from "valibot";
import type { Given, GivenValues } from "./given.ts";
import { UsageError } from "./usage.ts";

/** What such a file is usually called. */
const FILE_NAME = "sluice.config.json";

export interface ConfigFile {
  readonly path: string;
  /** What holds for every service. */
  readonly shared: GivenValues;
  /** By name, in the file's order. */
  readonly services: ReadonlyMap<string, GivenValues>;
}

const text = v.string("text in quotes");
const truth = v.boolean("true or false");
const number = v.pipe(v.number("a whole number"), v.integer("a whole number"));

const service = v.strictObject(
  {
    port: v.optional(number),
    origin: v.optional(text),
    path: v.optional(text),
    hostHeader: v.optional(text),
    concurrency: v.optional(number),
    originTimeout: v.optional(text),
    originCa: v.optional(text),
    insecureOrigin: v.optional(truth),
    rewriteLocation: v.optional(truth),
    publicName: v.optional(truth),
    tokenFile: v.optional(text),
  },
  'an object like {"port": 4000}',
);

const whole = v.strictObject(
  {
    edge: v.optional(text),
    ca: v.optional(text),
    grace: v.optional(text),
    replace: v.optional(truth),
    services: v.pipe(
      v.record(v.string(), service, 'an object like {"shop": {"port": 4000}}'),
      v.check(
        (services) => Object.keys(services).length > 0,
        "an object with one service at least",
      ),
    ),
  },
  'an object like {"services": {"shop": {"port": 4000}}}',
);

/** Keys whose values are paths. */
const paths = new Set(["tokenFile", "originCa", "ca"]);

/** What only one service can have: for several of them a flag would be ambiguous. */
const single = ["port", "origin", "path", "hostHeader", "tokenFile"] as const;

/** A sentence about the file in `directory` that nobody asked for, if there is one. */
export async function notAskedFor(
  config: Given | undefined,
  directory: string,
): Promise<string | undefined> {
  if (config !== undefined) return undefined;
  try {
    await access(resolve(directory, FILE_NAME));
  } catch {
    return undefined;
  }
  return `${FILE_NAME} is here and is not read: it would decide where tokens go. If you trust it, give --config ${FILE_NAME}.`;
}

/**
 * The file that `--config` names; undefined when it is not given.
 * @throws UsageError
 */
export async function readConfigFile(
  config: Given | undefined,
  directory: string,
): Promise<ConfigFile | undefined> {
  if (config === undefined) return undefined;
  const path = config.text;
  let json: string;
  try {
    json = await readFile(resolve(directory, path), "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      `The file "${path}" (${config.from}) cannot be read: ${reason}. Give the path of a file that is there.`,
    );
  }
  return parseConfigFile(json, path, dirname(resolve(directory, path)));
}

/** @throws UsageError that names the key that is wrong, and what is expected */
export function parseConfigFile(json: string, path: string, directory: string): ConfigFile {
  const result = v.safeParse(whole, parse(json, path), { abortEarly: true });
  if (!result.success) throw complaint(path, result.issues[0]);
  const { services, ...shared } = result.output;
  const given = (values: object, key: string): GivenValues => {
    const entries = Object.entries(values).map(([name, value]): [string, Given] => {
      const said = String(value);
      const shown = paths.has(name) && said !== "-" ? resolve(directory, said) : said;
      return [name, { text: shown, from: `${path}: ${key}${name}`, flag: false, file: true }];
    });
    return Object.fromEntries(entries);
  };
  const named = Object.entries(services).map(([name, values]): [string, GivenValues] => {
    const itself: Given = { text: name, from: `${path}: the service`, flag: false, file: true };
    return [name, { service: itself, ...given(values, `services.${name}.`) }];
  });
  return { path, shared: given(shared, ""), services: new Map(named) };
}

/**
 * What was given for each service that shall run: the one that `--service` names, or all of the file's.
 * @throws UsageError
 */
export function servicesOf(file: ConfigFile, given: GivenValues): GivenValues[] {
  const { path, shared, services } = file;
  if (given["service"] !== undefined) {
    const name = given["service"].text;
    const own = services.get(name);
    if (own === undefined && given["port"] === undefined && given["origin"] === undefined) {
      const known = [...services.keys()].join(", ");
      throw new UsageError(`${path} has no service "${name}"; it has: ${known}.`);
    }
    return [{ ...shared, ...own, ...given }];
  }
  if (services.size > 1) {
    const ambiguous = single.map((name) => given[name]).find((each) => each !== undefined);
    if (ambiguous !== undefined) {
      throw new UsageError(
        `${ambiguous.from} is for one service, and ${path} has ${services.size}: say which with --service.`,
      );
    }
  }
  return [...services.values()].map((own) => ({ ...shared, ...own, ...given }));
}

function parse(json: string, path: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      `${path} is not JSON: ${reason}. It has no comments, and no comma before a closing bracket.`,
    );
  }
}

function complaint(path: string, issue: v.BaseIssue<unknown>): UsageError {
  const keys = (issue.path ?? []).map((item) => String(item.key));
  const key = keys.join(".");
  const last = keys.at(-1) ?? "";
  if (issue.type === "strict_object" && issue.expected === "never") {
    if (/^(?:token|secret)$/i.test(last)) {
      return new UsageError(
        `${path}: ${key} must not be there: secrets stay out of this file. Give tokenFile, the path of a file that holds the token.`,
      );
    }
    const known = Object.keys(keys.length === 1 ? whole.entries : service.entries).join(", ");
    return new UsageError(`${path}: ${key} is not known; expected are ${known}.`);
  }
  if (issue.input === undefined) return new UsageError(`${path}: ${key} is missing.`);
  const what = keys.length === 0 ? path : `${path}: ${key}`;
  return new UsageError(`${what} must be ${issue.message}, not ${JSON.stringify(issue.input)}.`);
}
