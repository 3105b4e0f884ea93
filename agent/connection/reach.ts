/**
 * How the edge is reached: directly or through a company's proxy, and for https: over TLS that is trusted. It is what the
 * agents of node:http are for: whoever sends a request or an upgrade to the edge gives it one.
 */
import { Agent as HttpAgent, type ClientRequestArgs } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { readCertificates } from "../config/pem.ts";
import { direct } from "./direct.ts";
import { type Proxy, proxyFor } from "./proxy.ts";
import { throughSocks } from "./socks.ts";
import { Trust } from "./trust.ts";
import { tunnelThrough } from "./tunnel.ts";

/** How long a connection may take to come to be, whatever it leads through. */
const CONNECT_TIMEOUT_MS = 10_000;

export interface Reach {
  /** What node:http and node:https want: a connection for each request, kept for none. */
  readonly agent: HttpAgent;
  /** What it leads through. */
  readonly proxy: Proxy | undefined;
  /** The edge's, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Bytes to the edge's port, through the proxy if there is one. Rejects with why not. */
  readonly open: (deadline: AbortSignal) => Promise<Socket>;
  /** Whom to believe on the way; undefined where there is no TLS. */
  readonly trust: Trust | undefined;
}

/**
 * @param edge http: or https:
 * @param caFile PEM certificates of whom the edge's certificate may come from, and nobody else
 * @throws UsageError when the file or the environment's proxy cannot be used
 */
export function reachOf(
  edge: URL,
  caFile: string | undefined,
  environment: NodeJS.ProcessEnv,
): Reach {
  const secure = edge.protocol === "https:";
  const ca = caFile === undefined ? undefined : readCertificates(caFile, "--ca");
  const proxy = proxyFor(edge, environment);
  const host = edge.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(edge.port || (secure ? 443 : 80));
  const trust = secure ? new Trust(ca) : undefined;
  const open = (deadline: AbortSignal): Promise<Socket> => {
    switch (proxy?.kind) {
      case undefined:
        return direct(host, port, deadline);
      case "socks":
        return throughSocks(proxy, { host, port }, deadline);
      case "http":
        return tunnelThrough(proxy, `${edge.hostname}:${port}`, ca, deadline);
    }
  };
  const reach = async (): Promise<Socket> => {
    const deadline = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
    if (trust === undefined) return open(deadline);
    return trust.secure(() => open(deadline), host, deadline);
  };
  const agent = secure ? new HttpsAgent() : new HttpAgent();
  agent.createConnection = (_options: ClientRequestArgs, done?: Done) => {
    void hand(reach(), done);
    return undefined;
  };
  return { agent, proxy, host, port, open, trust };
}

type Done = (error: Error | null, stream: Duplex) => void;

/** Node's way to say how a connection went; its types do not know that a failure has no stream. */
async function hand(connection: Promise<Socket>, done: Done | undefined): Promise<void> {
  let socket: Socket;
  try {
    socket = await connection;
  } catch (error) {
    (done as ((error: unknown) => void) | undefined)?.(error);
    return;
  }
  done?.(null, socket);
}
