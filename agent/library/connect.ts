/**
 * `import { connect } from "sluice"`: a tunnel inside a program.
 *
 * It never ends the process, writes to no terminal, listens to no signal of the system, and leaves nothing open behind
 * `close()`. A process may have as many tunnels as it likes.
 */
import { Server as HttpServer } from "node:http";
import { Agent } from "../agent.ts";
import { type ConnectConfig, publicUrl } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import type { TunnelEvent } from "../events.ts";
import { type Handler, HandlerOrigin } from "../origin/handler.ts";
import { PrivateServer } from "../origin/private-server.ts";
import { ConnectError } from "./errors.ts";
import { checked, type ConnectOptions } from "./options.ts";
import { Listeners } from "./listeners.ts";
import { checkShape } from "./shape.ts";
import { openTunnel, type Tunnel } from "./tunnel.ts";

/**
 * Connects to an edge. Resolves when requests can come for the first time; until then it dials again and again, as it does
 * whenever the connection is lost later: give a `signal` if it shall not wait for ever.
 * @throws ConnectError (as rejection) when trying again cannot help, and the signal's reason when that is aborted
 */
export async function connect(options: ConnectOptions): Promise<Tunnel> {
  checkShape(options);
  const { signal, onEvent } = options;
  signal?.throwIfAborted();
  const listeners = new Listeners();
  if (onEvent !== undefined) listeners.add(onEvent);
  const { agent, ended, url } = await start(options, (event) => listeners.tell(event));
  const stop = (): void => agent.stop();
  signal?.addEventListener("abort", stop);
  // It may have been aborted while the way to the origin was made.
  if (signal?.aborted === true) stop();
  const failed = await Promise.race([agent.connected, ended]);
  signal?.removeEventListener("abort", stop);
  if (signal?.aborted === true) {
    await ended;
    throw signal.reason;
  }
  if (failed instanceof ConnectError) throw failed;
  return openTunnel({ agent, ended, url, listeners });
}

interface Started {
  readonly agent: Agent;
  /** Resolves when all of it is over, with why if nobody asked for it. Never rejects. */
  readonly ended: Promise<ConnectError | undefined>;
  readonly url: string;
}

/** @throws ConnectError */
async function start(
  options: ConnectOptions,
  report: (event: TunnelEvent) => void,
): Promise<Started> {
  let between: PrivateServer | undefined;
  try {
    const { config, token, destination } = checked(options);
    if (destination instanceof HttpServer) between = await PrivateServer.before(destination);
    const agent = new Agent({
      config: between === undefined ? config : behind(between, config),
      token,
      report,
      ...(typeof destination === "function" ? { origin: functionOf(destination, config) } : {}),
    });
    return { agent, ended: run(agent, between), url: publicUrl(config) };
  } catch (error) {
    await between?.close();
    const message = error instanceof Error ? error.message : String(error);
    const code = error instanceof UsageError ? "usage" : "failed";
    throw new ConnectError(code, message, { cause: error });
  }
}

async function run(
  agent: Agent,
  between: PrivateServer | undefined,
): Promise<ConnectError | undefined> {
  try {
    await agent.run();
    await between?.close();
  } catch (error) {
    return new ConnectError("internal-error", `Please report it: ${String(error)}`, {
      cause: error,
    });
  }
  const { final } = agent;
  return final && new ConnectError(final.code, final.message);
}

function functionOf(handler: Handler, config: ConnectConfig): HandlerOrigin {
  const { rewriteLocation, originTimeoutMs } = config;
  return new HandlerOrigin({ handler, rewriteLocation, timeoutMs: originTimeoutMs });
}

/** The same tunnel, but to the server behind the private socket. */
function behind(between: PrivateServer, config: ConnectConfig): ConnectConfig {
  const origin = {
    url: new URL("http://localhost"),
    socketPath: between.path,
    http2: false,
    label: "an http.Server of this process",
  };
  return { ...config, origin };
}
