/**
 * `npm run docs`: writes the generated pages of `docs/`, and the generated parts of others. With `-- --check` it writes nothing, and
 * ends with 1 when a page is not what it would be.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pages } from "./pages.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

let stale = 0;
for (const [path, text] of pages(read)) {
  let before: string | undefined;
  try {
    before = read(path);
  } catch {
    // A page that is new.
  }
  if (before === text) continue;
  stale++;
  if (process.argv.includes("--check")) process.stderr.write(`${path} is stale: npm run docs\n`);
  else {
    writeFileSync(new URL(path, root), text);
    process.stdout.write(`wrote ${path}\n`);
  }
}
if (process.argv.includes("--check") && stale > 0) process.exitCode = 1;
