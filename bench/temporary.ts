/**
 * Folders for the length of a run: all below one, which is gone when the process ends, however it ends.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

let base: string | undefined;

/** The folder of this run; children have it as their TMPDIR, so that what they leave behind goes with it. */
export function temporaryBase(): string {
  if (base !== undefined) return base;
  const made = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  // Others may look inside: ssh's server runs as somebody else.
  chmodSync(made, 0o755);
  process.on("exit", () => rmSync(made, { recursive: true, force: true, maxRetries: 3 }));
  base = made;
  return made;
}

export function temporary(name: string): Promise<string> {
  return mkdtemp(join(temporaryBase(), `${name}-`));
}
