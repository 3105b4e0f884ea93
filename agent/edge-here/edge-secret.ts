/**
 * The secret of an edge on this machine: given, or made and kept where its owner can read it.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { EdgeConfig } from "../config/config.ts";
import type { Log } from "../terminal/log.ts";
import { checkSecret, readSecret, type SecretSource, surroundings } from "../config/secret.ts";
import { temporaryDirectory } from "./temporary.ts";

/**
 * The given secret, or the one kept in the data directory, or a new one kept there (readable by its owner only).
 * @throws UsageError when it is too short or cannot be read
 */
export async function edgeSecret(
  { dataDirectory }: Pick<EdgeConfig, "dataDirectory">,
  source: Omit<SecretSource, "what">,
  log: Log,
): Promise<string> {
  const around = surroundings(log);
  const given = await readSecret({ what: "secret", ...source }, around);
  if (given !== undefined) return checkSecret(given);
  if (dataDirectory !== undefined) await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  const directory = dataDirectory ?? (await temporaryDirectory("sluice-secret-"));
  const file = join(directory, "secret");
  const made = randomBytes(32).toString("hex");
  try {
    await writeFile(file, `${made}\n`, { mode: 0o600, flag: "wx" });
    log.say(`made a secret: ${file} (for \`agent token --secret-file\`)`);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    const kept = await readSecret({ what: "secret", ...source, file, flag: "--data" }, around);
    return checkSecret(kept ?? "");
  }
  return made;
}

/**
 * The secret before the last change, whose tokens are still good; undefined when there is none.
 * @throws UsageError when it is too short or cannot be read
 */
export async function previousSecret(
  source: Omit<SecretSource, "what">,
  log: Log,
): Promise<string | undefined> {
  const given = await readSecret({ what: "previous secret", ...source }, surroundings(log));
  return given === undefined ? undefined : checkSecret(given);
}
