/**
 * pipenet, the maintained fork of localtunnel that has a server: one TCP connection for each request under way.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Program } from "../process.ts";
import type { Site, System } from "../system.ts";
import { freePort, npmPackage, type Peer, peerSystem } from "./install.ts";

const VERSION = "1.4.3";

async function start(site: Site): Promise<System> {
  const directory = await npmPackage("pipenet", VERSION);
  const url = (file: string): string => JSON.stringify(pathToFileURL(join(directory, file)).href);
  const [port, tunnelPort] = [await freePort(), await freePort()];
  // `tunnelPort` is what the server tells its clients: over a path, the relay's.
  const told = await site.via(tunnelPort);
  const server = Program.start(process.execPath, [
    "--input-type=module",
    "--eval",
    `import { createServer } from ${url("dist/server/index.js")};
     const server = createServer({ domains: ["localhost"], maxTcpSockets: 10, tunnelPort: ${told} });
     await server.tunnelServer.listen(${tunnelPort}, "127.0.0.1");
     server.listen(${port}, "127.0.0.1", () => console.log("ready"));`,
  ]);
  await server.line(/^ready$/);
  const client = Program.start(process.execPath, [
    "--input-type=module",
    "--eval",
    `import { get } from "node:http";
     import { pipenet } from ${url("dist/pipenet.js")};
     const tunnel = await pipenet({ port: ${site.originPort}, host: "http://127.0.0.1:${port}",
       localHost: "127.0.0.1", subdomain: "bench" });
     tunnel.on("error", (error) => console.error(error.message));
     // Its sockets give up after 30 s of silence, while others are measured.
     setInterval(() => get({ port: ${port}, path: "/small/awake", headers: { host: "bench.localhost" } },
       (answer) => answer.resume()).on("error", () => {}), 10_000);
     console.log("url", tunnel.url);`,
  ]);
  await client.line(/^url /);
  return peerSystem(
    "pipenet",
    { port, prefix: "", host: "bench.localhost" },
    { edge: () => [server.pid], agent: () => [client.pid] },
    () => Promise.all([client.stop(), server.stop()]),
  );
}

export const pipenet: Peer = { name: "pipenet", start };
