/**
 * What options are, before it is asked what they say: who writes JavaScript is told by no compiler that a name or a kind of
 * value is wrong.
 *
 * It shows no value: one of them is a token.
 */
import * as v from "valibot";
import { ConnectError } from "./errors.ts";
import type { ConnectOptions } from "./options.ts";

const text = v.string("text");
const flag = v.boolean("true or false");
const time = v.union([v.number(), v.string()], 'milliseconds, or text like "30s"');

/** What each option is; the message follows "must be". */
const kinds = {
  edge: v.union([v.string(), v.instance(URL)], "text or a URL, like https://edge.example"),
  service: text,
  token: text,
  // What it may be is `options.ts`'s, and says more.
  origin: v.unknown(),
  path: text,
  concurrency: v.number("a number"),
  hostHeader: text,
  originTimeout: time,
  originCa: v.string("the path of a PEM file"),
  insecureOrigin: flag,
  rewriteLocation: flag,
  publicName: flag,
  ca: v.string("the path of a PEM file"),
  grace: time,
  replace: flag,
  signal: v.instance(AbortSignal, "an AbortSignal"),
  onEvent: v.function("a function"),
} satisfies Record<keyof ConnectOptions, v.GenericSchema<unknown, unknown>>;

const required: ReadonlySet<string> = new Set(["edge", "service", "token", "origin"]);

/** @throws ConnectError that names the option, and what it should be */
export function checkShape(options: unknown): asserts options is ConnectOptions {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw wrong(
      `connect() wants an object, as in connect({ edge: "https://edge.example", service: "shop", token, origin: 4000 }), not ${kindOf(options)}.`,
    );
  }
  const given = options as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(kinds, name) || given[name] === undefined) continue;
    const instead =
      name === "port"
        ? "A port is given as origin, as in origin: 4000."
        : `There are ${Object.keys(kinds).join(", ")}.`;
    throw wrong(`There is no option ${JSON.stringify(name)}. ${instead}`);
  }
  for (const [name, kind] of Object.entries(kinds)) {
    const value = given[name];
    if (value === undefined) {
      if (required.has(name)) throw wrong(`The option ${name} is missing.`);
      continue;
    }
    const result = v.safeParse(kind, value);
    if (result.success) continue;
    throw wrong(`${name} must be ${result.issues[0].message}, not ${kindOf(value)}.`);
  }
}

function wrong(message: string): ConnectError {
  return new ConnectError("usage", message);
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "string") return "text";
  return `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
}
