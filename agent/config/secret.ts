/**
 * Secrets: from a file, from stdin (`-`) or from the environment, never from a flag, where `ps` shows them to everyone.
 *
 * Nothing here prints a secret or puts one into an error.
 */
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { Given } from "./given.ts";
import { UsageError } from "./usage.ts";
import { isToken } from "./without-password.ts";

/** The shortest secret that may sign tokens: 32 characters of hex are 128 bits, beyond guessing. */
export const MIN_SECRET_CHARS = 32;

/** Where a secret may be found, in this order. */
export interface SecretSource {
  /** The file's path, or `-` for stdin; undefined when the flag was not given. */
  readonly file: string | undefined;
  /** The environment variable that may hold the secret itself. */
  readonly variable: string;
  /** What to call it in errors: "token", "secret". */
  readonly what: string;
  /** The flag that takes the file. */
  readonly flag: string;
}

export interface Surroundings {
  readonly environment: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Tells a person at a terminal that we wait for them. */
  readonly ask: (sentence: string) => void;
}

/** Those of this process; what it asks goes to stderr, so that stdout stays data. */
export function surroundings(log: { say(text: string): void }): Surroundings {
  return { environment: process.env, stdin: process.stdin, ask: (sentence) => log.say(sentence) };
}

/**
 * The secret without surrounding white space, or undefined when it is given nowhere.
 * @throws UsageError when it is given but empty or unreadable
 */
export async function readSecret(
  source: SecretSource,
  { environment, stdin, ask }: Surroundings,
): Promise<string | undefined> {
  const { file, variable, what, flag } = source;
  if (file === undefined) {
    const value = environment[variable]?.trim();
    return value === undefined || value === "" ? undefined : value;
  }
  if (isToken(file)) {
    throw new UsageError(
      `${flag} takes the path of a file, and was given a token itself, which \`ps\` shows to everyone. Put it into a file, or set ${variable}.`,
    );
  }
  if (file === "-" && stdin.isTTY === true) ask(`Paste the ${what}, then Enter and Ctrl-D.`);
  const secret = (await read(source, file, stdin)).trim();
  if (secret === "") {
    const where = file === "-" ? "stdin" : `the file "${file}"`;
    throw new UsageError(
      `There is no ${what} in ${where} (${flag}): it is empty. ${howToMake(source)}`,
    );
  }
  return secret;
}

async function read(
  source: SecretSource,
  file: string,
  stdin: Surroundings["stdin"],
): Promise<string> {
  try {
    return file === "-" ? await text(stdin) : await readFile(file, "utf8");
  } catch (error) {
    const { what, flag } = source;
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new UsageError(`There is no file "${file}" (${flag}). ${howToMake(source)}`);
    }
    const reason = error instanceof Error ? error.message : String(error);
    const where = file === "-" ? "stdin" : `the file "${file}"`;
    throw new UsageError(`The ${what} cannot be read from ${where} (${flag}): ${reason}.`);
  }
}

/** What to do where there is none. */
function howToMake({ what, flag }: SecretSource): string {
  switch (what) {
    case "token":
      return "Make one with `agent token`.";
    case "secret":
      return "Make one with `openssl rand -hex 32`.";
    default:
      return `Without one leave ${flag} out.`;
  }
}

/** @throws UsageError when `secret` is too short to sign tokens with */
export function checkSecret(secret: string): string {
  if (secret.length >= MIN_SECRET_CHARS) return secret;
  throw new UsageError(
    `The secret has ${secret.length} characters; it needs at least ${MIN_SECRET_CHARS}, or it can be guessed. ` +
      "Make one with `openssl rand -hex 32`.",
  );
}

/** A file that a flag names, then the variable with the secret itself, then a file that a variable names. */
export function secretSource(
  given: Given | undefined,
  variable: string,
): { file: string | undefined; flag: string; variable: string } {
  const shadowed = given?.flag === false && (process.env[variable] ?? "") !== "";
  return {
    file: shadowed ? undefined : given?.text,
    flag: given?.from ?? "",
    variable,
  };
}
