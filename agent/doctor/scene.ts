/**
 * What is examined: one service as `agent connect` would be given it, and what checks have found for those after them.
 */
import { type ConnectConfig, connectConfig } from "../config/config.ts";
import type { GivenValues } from "../config/given.ts";
import { isLoopback } from "../config/loopback.ts";
import { type Reach, reachOf } from "../connection/reach.ts";
import { type OriginTls, originTls } from "../origin/origin-tls.ts";
import type { Opening } from "./edge-socket.ts";

export interface Scene {
  readonly config: ConnectConfig;
  /** Whether it was said where the server is. */
  readonly hasOrigin: boolean;
  readonly originTls: OriginTls;
  readonly reach: Reach;
  readonly environment: NodeJS.ProcessEnv;
  /** Whether what is sent to the edge passes a network. */
  readonly local: boolean;
  /** How long a connection is left silent. */
  readonly idleMs: number;
  /** Rejects with UsageError when there is none. */
  readonly readToken: () => Promise<string>;
  readonly found: Found;
}

export interface Found {
  /** The token, if there is one that can be sent. */
  token: string | undefined;
  /** What the edge calls itself. */
  software: string | undefined;
  /** How the upgrade was answered. */
  opening: Opening | undefined;
}

export interface SceneOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly idleMs: number;
  readonly readToken: (config: ConnectConfig) => Promise<string>;
}

/**
 * Where the server is may be left out: then only the way to the edge is examined.
 * @throws UsageError
 */
export function sceneOf(given: GivenValues, options: SceneOptions): Scene {
  const hasOrigin = given["port"] !== undefined || given["origin"] !== undefined;
  const nowhere = { port: { text: "1", from: "--port", flag: true } };
  const config = connectConfig(hasOrigin ? given : { ...given, ...nowhere });
  return {
    config,
    hasOrigin,
    originTls: originTls(config.originCa, config.insecureOrigin),
    reach: reachOf(config.edge, config.ca, options.environment),
    environment: options.environment,
    local: isLoopback(config.edge),
    idleMs: options.idleMs,
    readToken: () => options.readToken(config),
    found: { token: undefined, software: undefined, opening: undefined },
  };
}

/** Host and port of the edge, as they are written in a URL. */
export function edgeAddress({ config, reach }: Scene): string {
  return `${config.edge.hostname}:${reach.port}`;
}

/** Host and port of what is connected to: the proxy, or the edge. */
export function firstHop({ reach }: Scene): { readonly host: string; readonly port: number } {
  return reach.proxy ?? reach;
}

/** "the proxy …", or the edge's address: for sentences. */
export function hopName(scene: Scene): string {
  return scene.reach.proxy?.label ?? edgeAddress(scene);
}
