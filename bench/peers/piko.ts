/** piko: yamux over one WebSocket, requests routed by their Host. */
import { flags, Program } from "../process.ts";
import type { Site, System } from "../system.ts";
import { freePort, goProgram, type Peer, peerSystem } from "./install.ts";

async function start(site: Site): Promise<System> {
  const binary = await goProgram("piko", "github.com/andydunstall/piko", "v0.9.0");
  const ports = await Promise.all([freePort(), freePort(), freePort(), freePort(), freePort()]);
  const [proxy, upstream, admin, gossip, local] = ports;
  const address = (port: number): string => `127.0.0.1:${port}`;
  const server = Program.start(binary, [
    "server",
    ...flags({
      "--proxy.bind-addr": address(proxy),
      "--upstream.bind-addr": address(upstream),
      "--admin.bind-addr": address(admin),
      "--cluster.gossip.bind-addr": address(gossip),
    }),
  ]);
  await server.line(/starting upstream server|upstream/i);
  const client = Program.start(binary, [
    "agent",
    "http",
    "bench",
    String(site.originPort),
    ...flags({
      "--connect.url": `http://${address(await site.via(upstream))}`,
      "--server.bind-addr": address(local),
    }),
    "--access-log.disable",
  ]);
  await client.line(/starting reverse proxy/);
  return peerSystem(
    "piko",
    { port: proxy, prefix: "", host: "bench.localhost" },
    { edge: () => [server.pid], agent: () => [client.pid] },
    () => Promise.all([client.stop(), server.stop()]),
  );
}

export const piko: Peer = { name: "piko", start };
