/** Directories that live no longer than this process. */
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const directories = new Set<string>();
let watching = false;

/** Makes a directory that only its owner can enter, and that is removed when the process exits, however it decides to. */
export async function temporaryDirectory(prefix: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  directories.add(directory);
  if (!watching) {
    watching = true;
    process.once("exit", () => {
      for (const each of directories) removeTemporary(each);
    });
  }
  return directory;
}

/** Removes one before the process exits. Idempotent. */
export function removeTemporary(directory: string): void {
  directories.delete(directory);
  rmSync(directory, { recursive: true, force: true });
}
