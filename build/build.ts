/**
 * `npm run build`: what a package needs beside its description, in `dist/`. A checkout runs its sources and needs none of it.
 *
 * Node strips no types below `node_modules`, so `agent/` and `codec/` become JavaScript, with declarations for who imports
 * them. What a checkout bundles when it is needed is bundled here, in the same place relative to the file that asks for it.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleWorker } from "../agent/edge-here/worker-bundle.ts";
import { buildScript } from "../agent/inspector/page.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");

rmSync(dist, { recursive: true, force: true });
execFileSync(
  process.execPath,
  [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "build/tsconfig.emit.json")],
  { stdio: "inherit" },
);
mkdirSync(join(dist, "edge"));
await bundleWorker(join(dist, "edge/worker.js"));
const page = join(root, "agent/inspector/ui");
const built = join(dist, "agent/inspector/ui");
mkdirSync(built);
writeFileSync(join(built, "app.js"), await buildScript());
for (const name of ["index.html", "app.css", "icon.svg"]) {
  copyFileSync(join(page, name), join(built, name));
}
// Which of the runtime's behaviours the Worker was written for.
copyFileSync(join(root, "wrangler.toml"), join(dist, "wrangler.toml"));
