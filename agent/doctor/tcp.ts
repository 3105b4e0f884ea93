/** A connection to what is connected to first: the edge, or the proxy. */
import { direct } from "../connection/direct.ts";
import { type ClientError, faultReason } from "../origin/fault.ts";
import { type Check, fail, type Finding, ok, shortMs, sinceMs, WITHIN_MS } from "./check.ts";
import { firstHop, hopName, type Scene } from "./scene.ts";

export const tcp: Check = {
  name: "tcp",
  title: "TCP",
  needs: ["dns"],
  target: (scene) => {
    const { host, port } = firstHop(scene);
    return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  },
  run: look,
};

async function look(scene: Scene): Promise<Finding> {
  const { host, port } = firstHop(scene);
  const startMs = performance.now();
  try {
    const socket = await direct(host, port, AbortSignal.timeout(WITHIN_MS));
    const ms = sinceMs(startMs);
    const { remoteAddress, localAddress } = socket;
    socket.on("error", () => {}).destroy();
    const details = `connected to ${remoteAddress ?? host} in ${shortMs(ms)}`;
    return ok(details, { remoteAddress, localAddress, connectMs: ms });
  } catch (error) {
    return refused(scene, error as ClientError);
  }
}

function refused(scene: Scene, error: ClientError): Finding {
  const { port } = firstHop(scene);
  const { proxy } = scene.reach;
  const details = faultReason(error);
  const data = { data: { code: error.code } };
  const where = proxy === undefined ? "--edge" : proxy.variable;
  switch (error.code) {
    case "ECONNREFUSED": {
      const what = proxy === undefined ? "Is the edge running there" : "Is the proxy running";
      return fail(
        details,
        `Nothing listens at ${hopName(scene)}. ${what}, and is the port in ${where} right?`,
        data,
      );
    }
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "EADDRNOTAVAIL":
      return fail(
        details,
        "This machine has no way there: is its network, or the VPN, connected?",
        data,
      );
    case "EACCES":
    case "EPERM":
      return fail(
        details,
        "A firewall on this machine forbids it: allow outbound connections of node.",
        data,
      );
    default: {
      const way = proxy === undefined ? ", or set HTTPS_PROXY if the network has a proxy" : "";
      const action = `Something drops or breaks the connection: allow outbound TCP to port ${port} of ${hopName(scene)} in the firewall${way}.`;
      return fail(details, action, data);
    }
  }
}
