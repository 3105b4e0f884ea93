/** Whether a proxy is used, by which variable, and what it says to CONNECT. */
import { type Proxy, proxyVariable } from "../connection/proxy.ts";
import { ProxyUnauthorized, Unreachable } from "../connection/unreachable.ts";
import { exits } from "../config/usage.ts";
import { type Check, fail, type Finding, ok, shortMs, sinceMs, skip, WITHIN_MS } from "./check.ts";
import { edgeAddress, type Scene } from "./scene.ts";

export const proxy: Check = {
  name: "proxy",
  title: "proxy",
  needs: ["tcp"],
  target: ({ reach }) => reach.proxy?.url ?? "none",
  run: look,
};

async function look(scene: Scene): Promise<Finding> {
  const { reach } = scene;
  if (reach.proxy === undefined) return skip(whyNone(scene));
  const { variable, login } = reach.proxy;
  const startMs = performance.now();
  try {
    const socket = await reach.open(AbortSignal.timeout(WITHIN_MS));
    socket.on("error", () => {}).destroy();
    const ms = sinceMs(startMs);
    const as = login === undefined ? "" : ", with credentials";
    return ok(
      `${variable}${as}: ${manner(reach.proxy)} ${edgeAddress(scene)} took ${shortMs(ms)}`,
      {
        connectMs: ms,
      },
    );
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    return refused(error, scene);
  }
}

/** How it is asked for a connection to what follows. */
function manner(proxy: Proxy): string {
  if (proxy.kind === "http") return "CONNECT";
  const who = proxy.names === "here" ? "this machine" : "the proxy";
  return `SOCKS${proxy.version}, where ${who} looks names up, to`;
}

function whyNone({ config, environment, local }: Scene): string {
  if (local) return "not used for this machine";
  const named = proxyVariable(config.edge, environment);
  if (named !== undefined) return `NO_PROXY leads around that of ${named}`;
  const own = config.edge.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  return `neither ${own} nor ALL_PROXY is set`;
}

/** Sentences of `tunnel.ts` and `socks.ts` say what happened, then what to do. */
function refused(error: Unreachable, scene: Scene): Finding {
  const unauthorized = error instanceof ProxyUnauthorized;
  const at = unauthorized ? error.message.lastIndexOf("): ") + 1 : error.message.indexOf("; ");
  if (at > 0) {
    const details = error.message.slice(0, at);
    const action = error.message.slice(at + 2);
    const said = `${action.charAt(0).toUpperCase()}${action.slice(1)}.`;
    return fail(details, said, unauthorized ? { exit: exits.usage } : {});
  }
  const { variable = "" } = scene.reach.proxy ?? {};
  return fail(
    error.message,
    `Ask whoever runs the proxy whether it reaches ${edgeAddress(scene)}, and whether ${variable} names the right one.`,
  );
}
