/** Our name and version, read once from package.json: for HELLO, `--version` and nothing else. */
import { readFileSync } from "node:fs";
import * as v from "valibot";

const manifest = v.parse(
  v.object({ version: v.string() }),
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")),
);

/** The agent's version. */
export const VERSION = manifest.version;

/** What HELLO says of us. */
export const SOFTWARE = `sluice-agent/${VERSION} node/${process.versions.node}`;
