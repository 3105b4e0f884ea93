/** Where this machine's Chromium is; undefined, and said so, when there is none. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

export const chromiumPath = (process.env["PATH"] ?? "")
  .split(delimiter)
  .flatMap((folder) => names.map((name) => join(folder, name)))
  .find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

if (chromiumPath === undefined) {
  process.stderr.write(`a browser is skipped: none of these is installed: ${names.join(", ")}\n`);
}
