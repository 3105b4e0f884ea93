/**
 * The Nodes that the package is for: this project's own, and beside it those of `test/nodes/package.json`, which are the
 * lowest that `engines` allows (undici needs it) and the newest. `npm run interop:install` brings those, as `.ci/run` does.
 *
 * They are npm packages that hold Node's binary for one platform, so no other can run them: there, and before they are
 * installed, they are skipped, and it is said why.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface AnyNode {
  readonly version: string;
  readonly path: string;
  /** Whether it can be run. */
  readonly there: boolean;
}

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
const packages = JSON.parse(read("package.json")) as {
  /** By folder: `npm:<package>@<version>`. */
  readonly optionalDependencies: Readonly<Record<string, string>>;
};

/** Why those that are not this project's cannot be run; undefined when they can. */
const reason =
  `${process.platform}-${process.arch}` !== "linux-x64"
    ? `their packages are for linux-x64, and this is ${process.platform}-${process.arch}`
    : existsSync(new URL("node_modules", import.meta.url))
      ? undefined
      : "`npm run interop:install` brings them";

/** From the oldest to the newest. One that should be installed and is not is there all the same: its tests fail. */
export const nodes: readonly AnyNode[] = [
  { version: process.versions.node, path: process.execPath, there: true },
  ...Object.entries(packages.optionalDependencies).map(([name, wanted]) => ({
    version: wanted.slice(wanted.lastIndexOf("@") + 1),
    path: fileURLToPath(new URL(`node_modules/${name}/bin/node`, import.meta.url)),
    there: reason === undefined,
  })),
].sort((a, b) => a.version.localeCompare(b.version, "en", { numeric: true }));

if (reason !== undefined) {
  const versions = nodes.filter(({ there }) => !there).map(({ version }) => version);
  process.stderr.write(`the package is not tried on Node ${versions.join(" and ")}: ${reason}\n`);
}
