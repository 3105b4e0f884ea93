/** Our name and version, read once from package.json: for HELLO, `--version` and nothing else. */
import { readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";

// One folder above in a checkout, two in a package.
const manifest = JSON.parse(readFileSync(findPackageJSON(import.meta.url) ?? "", "utf8")) as {
  readonly version: string;
};

/** The agent's version. */
export const VERSION = manifest.version;

/** What HELLO says of us. */
export const SOFTWARE = `sluice-agent/${VERSION} node/${process.versions.node}`;
