/** Our name and version, read once from package.json: for HELLO, `--version` and nothing else. */
import { readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";
import * as v from "valibot";

const manifest = v.parse(
  v.object({ version: v.string() }),
  // One folder above in a checkout, two in a package.
  JSON.parse(readFileSync(findPackageJSON(import.meta.url) ?? "", "utf8")),
);

/** The agent's version. */
export const VERSION = manifest.version;

/** What HELLO says of us. */
export const SOFTWARE = `sluice-agent/${VERSION} node/${process.versions.node}`;
