/**
 * The Worker as the one file that workerd takes: bundled from the sources where there are some, ready in a package.
 *
 * It reads `edge/` by path and never imports it: agent and edge meet only on the wire.
 */
import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const sources = new URL("../../edge/self-hosted.ts", import.meta.url);
/** `npm run build` puts it there. */
const ready = new URL("../../edge/worker.js", import.meta.url);

/** Writes the bundle to `outfile`. Nothing else of this process may be built with esbuild meanwhile. */
export async function bundleWorker(outfile: string): Promise<void> {
  if (!existsSync(sources)) {
    await copyFile(ready, outfile);
    return;
  }
  const { build, stop } = await import("esbuild");
  await build({
    entryPoints: [fileURLToPath(sources)],
    outfile,
    bundle: true,
    format: "esm",
    target: "es2024",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
    logLevel: "silent",
  });
  // Otherwise its process stays beside the edge for as long as that runs, with 30 MB.
  await stop();
}
