/** frp: yamux over one TLS connection, a port of the server forwarded to the origin. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Program } from "../process.ts";
import type { Site, System } from "../system.ts";
import { temporary } from "../temporary.ts";
import { freePort, goProgram, type Peer, peerSystem } from "./install.ts";

const MODULE = "github.com/fatedier/frp/cmd";
const VERSION = "v0.70.1";

async function start(site: Site): Promise<System> {
  const frps = await goProgram("frps", `${MODULE}/frps`, VERSION);
  const frpc = await goProgram("frpc", `${MODULE}/frpc`, VERSION);
  const directory = await temporary("frp");
  const [port, publicPort] = [await freePort(), await freePort()];
  const [serverFile, clientFile] = [join(directory, "frps.toml"), join(directory, "frpc.toml")];
  await writeFile(
    serverFile,
    `bindAddr = "127.0.0.1"\nproxyBindAddr = "127.0.0.1"\nbindPort = ${port}\n`,
  );
  await writeFile(
    clientFile,
    `serverAddr = "127.0.0.1"
serverPort = ${await site.via(port)}
[[proxies]]
name = "bench"
type = "tcp"
localIP = "127.0.0.1"
localPort = ${site.originPort}
remotePort = ${publicPort}
`,
  );
  const server = Program.start(frps, ["-c", serverFile]);
  await server.line(/started successfully/);
  const client = Program.start(frpc, ["-c", clientFile]);
  await client.line(/start proxy success/);
  return peerSystem(
    "frp",
    { port: publicPort, prefix: "" },
    { edge: () => [server.pid], agent: () => [client.pid] },
    () => Promise.all([client.stop(), server.stop()]),
  );
}

export const frp: Peer = { name: "frp", start };
