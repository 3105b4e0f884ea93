/** chisel: SSH channels over one WebSocket, a port of the server forwarded to the origin. */
import { Program } from "../process.ts";
import type { Site, System } from "../system.ts";
import { freePort, goProgram, type Peer, peerSystem } from "./install.ts";

async function start(site: Site): Promise<System> {
  const binary = await goProgram("chisel", "github.com/jpillora/chisel", "v1.11.5");
  const [port, publicPort] = [await freePort(), await freePort()];
  const listen = ["--host", "127.0.0.1", "--port", String(port)];
  const server = Program.start(binary, ["server", ...listen, "--reverse"]);
  await server.line(/Listening on/);
  const forward = `R:127.0.0.1:${publicPort}:127.0.0.1:${site.originPort}`;
  const edge = `http://127.0.0.1:${await site.via(port)}`;
  const client = Program.start(binary, ["client", edge, forward]);
  await client.line(/Connected/);
  return peerSystem(
    "chisel",
    { port: publicPort, prefix: "" },
    { edge: () => [server.pid], agent: () => [client.pid] },
    () => Promise.all([client.stop(), server.stop()]),
  );
}

export const chisel: Peer = { name: "chisel", start };
