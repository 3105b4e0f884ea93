/**
 * What the operator configures: bindings, secrets and variables. Nothing here reads them; who needs one checks it.
 */

export interface Env {
  /** One object a shard of a service; the first is named after the service. */
  readonly CORRELATOR: DurableObjectNamespace;
  /** Gets one data point for each request that is over. */
  readonly REQUESTS?: AnalyticsEngineDataset;
  /** Signs tokens (HS256); at least 32 characters. */
  readonly TUNNEL_SECRET?: string;
  /** The secret before the last rotation: tokens made with it are good until they expire. */
  readonly TUNNEL_SECRET_PREVIOUS?: string;
  /** Lower case, without a leading dot: `<service>.<TUNNEL_DOMAIN>` is the service's own host. */
  readonly TUNNEL_DOMAIN?: string;
  /** Who may send requests: "public" (the default) or "token". */
  readonly VISITORS?: string;
  /** How long exchanges survive the loss of their agent's socket, in seconds: 15 when left out, at most 3600. */
  readonly GRACE_SECONDS?: string;
  /** Over how many objects services are spread: 1 when left out. See `shardCounts`. */
  readonly SHARDS?: string;
  /** Where objects that are not there yet are made; near whoever asks first when left out. */
  readonly LOCATION_HINT?: string;
  /** Set by `agent edge` where it follows another: until when that one's agents are expected, in milliseconds since 1970. */
  readonly AGENTS_EXPECTED_UNTIL?: string;
}

/** Our name and version, for the agent's log and the status page. */
export const SOFTWARE = "sluice-edge/0.1.0";
