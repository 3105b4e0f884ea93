/**
 * @deco-cx/warp-node: the nearest rival that runs, a Worker with a Durable Object and one WebSocket, in the same workerd
 * as Sluice. It has no flow control.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Plugin } from "esbuild";
import { Program } from "../process.ts";
import type { Site, System } from "../system.ts";
import { startWorkerd } from "../workerd.ts";
import { npmPackage, type Peer, peerSystem } from "./install.ts";

const VERSION = "0.3.16";

/** Its sockets read messages as ArrayBuffer, which newer dates make Blobs of. */
const DATE = "2026-01-01";

const KEY = "a key for the benchmark";
const DOMAIN = "bench.localhost";

/** What its server imports for Node and a Worker never calls. */
const nodeOnly: Plugin = {
  name: "node-only",
  setup: (build) => {
    const filter = /^(http|undici|ws|worker_threads)$/;
    build.onResolve({ filter }, ({ path }) => ({ path, namespace: "node-only" }));
    build.onLoad({ filter: /./, namespace: "node-only" }, () => ({
      contents:
        "export const createServer = 0, request = 0, WebSocketServer = 0, Worker = 0, parentPort = null;",
    }));
  },
};

async function start(site: Site): Promise<System> {
  const directory = await npmPackage("@deco-cx/warp-node", VERSION);
  const entry = join(directory, "..", "..", "..", "warp-worker.js");
  await writeFile(
    entry,
    `import { serveHandler } from "./node_modules/@deco-cx/warp-node/dist/server.js";
     export class Warp {
       constructor() { this.handle = serveHandler({ apiKeys: [${JSON.stringify(KEY)}] }); }
       fetch(request) { return this.handle(request); }
     }
     export default {
       fetch: (request, env) => env.WARP.get(env.WARP.idFromName("warp")).fetch(request),
     };`,
  );
  const server = await startWorkerd({
    entry,
    className: "Warp",
    binding: "WARP",
    date: DATE,
    plugins: [nodeOnly],
  });
  const module = JSON.stringify(pathToFileURL(join(directory, "dist/client.js")).href);
  const client = Program.start(process.execPath, [
    "--input-type=module",
    "--eval",
    `import { connect } from ${module};
     const { registered } = await connect({
       domain: ${JSON.stringify(DOMAIN)},
       localAddr: "http://127.0.0.1:${site.originPort}",
       server: "ws://127.0.0.1:${await site.via(server.port)}",
       apiKey: ${JSON.stringify(KEY)},
     });
     await registered;
     console.log("ready");`,
  ]);
  await client.line(/^ready$/);
  return peerSystem(
    "warp-node",
    { port: server.port, prefix: "", host: DOMAIN },
    { edge: () => [server.pid], agent: () => [client.pid] },
    () => Promise.all([client.stop(), server.stop()]),
  );
}

export const warp: Peer = { name: "warp-node", start };
