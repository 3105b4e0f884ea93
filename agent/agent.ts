/**
 * The agent: keeps its connection up, serves what comes over it, says what happens, and drains at the end.
 */
import { randomBytes } from "node:crypto";
import type { ErrorCode } from "../codec/errors.ts";
import type { Exchange } from "../codec/exchange.ts";
import type { HeaderList } from "../codec/frame.ts";
import type { Session } from "../codec/session.ts";
import { type ConnectConfig, publicUrl, shardsUrl, socketUrl, statusUrl } from "./config/config.ts";
import { isLoopback } from "./config/loopback.ts";
import { type AgentCode, isErrorCode } from "./codes.ts";
import type { Ending } from "./connection/dial.ts";
import type { TunnelEvent, Visitors } from "./events.ts";
import type { Watch } from "./watch.ts";
import { Origin } from "./origin/origin.ts";
import { originTls } from "./origin/origin-tls.ts";
import { newPlatform } from "./connection/platform.ts";
import type { Proxy } from "./connection/proxy.ts";
import { reachOf } from "./connection/reach.ts";
import { whyRefused } from "./connection/refused-token.ts";
import { type Replayer, Serve } from "./serve.ts";
import { shardCount } from "./connection/shard-count.ts";
import { Shards } from "./connection/shards.ts";
import { onWake } from "./connection/slept.ts";
import { type ExitCode, exits } from "./config/usage.ts";

/** An edge that is deployed anew or restarted is back before. */
const MANY_DIALS = 3;

export interface AgentOptions {
  readonly config: ConnectConfig;
  readonly token: string;
  /** Told what happens. */
  readonly report: (event: TunnelEvent) => void;
  /** Who sees exchanges pass. */
  readonly watch?: Watch;
  /** What answers, where that is not the server at `config.origin`. */
  readonly origin?: AgentOrigin;
}

/** What answers, and ends with the agent. */
export interface AgentOrigin extends Replayer {
  close(): Promise<void>;
}

export class Agent {
  readonly #config: ConnectConfig;
  readonly #token: string;
  readonly #report: (event: TunnelEvent) => void;
  readonly #origin: AgentOrigin;
  readonly #serve: Serve;
  readonly #shards: Shards;
  readonly #firstConnected = Promise.withResolvers<void>();
  /** The shards that were connected once. */
  readonly #connectedBefore = new Set<number>();
  #draining = false;
  #final: Final | undefined;
  /** Whether it was said that the origin turns a name away. */
  #saidNameRefused = false;
  /** Dials in a row that came to nothing. */
  #inVain = 0;
  /** Settles when drained connections have closed. */
  #drained: Promise<void> | undefined;

  constructor({ config, token, report, watch, origin }: AgentOptions) {
    this.#config = config;
    this.#token = token;
    this.#report = report;
    this.#origin = origin ?? serverAt(config, () => this.#nameRefused());
    const reach = reachOf(config.edge, config.ca, process.env);
    this.#serve = new Serve({
      origin: this.#origin,
      concurrency: config.concurrency,
      finished: report,
      ...(watch === undefined ? {} : { watch }),
    });
    this.#shards = new Shards({
      platform: newPlatform(),
      url: socketUrl(config),
      token,
      httpAgent: reach.agent,
      // Names this process to the edge.
      id: randomBytes(16).toString("base64url"),
      replace: config.replace,
      accept: (exchange) => this.#serve.accept(exchange),
      count: (signal) => shardCount(shardsUrl(config), token, signal, reach.agent),
      counted: (shards) => report({ event: "shards", shards }),
      connected: (shard, session, resumed, visitors) =>
        this.#connected(shard, session, resumed, visitors),
      disconnected: (shard, ending, retryMs) => {
        const why = reasonOf(ending, reach.proxy, config);
        report({ event: "disconnected", ...ofShard(shard), ...why, retryMs });
        // Who is told that there is no room has nothing to find out.
        const isMystery = ending.kind !== "lost" && why.code !== "too-many-agents";
        if (shard === 0 && isMystery) this.#dialledInVain();
      },
      measured: (shard, ms) => report({ event: "roundTrip", ...ofShard(shard), rttMs: tenths(ms) }),
      draining: (code) => this.#dismissed(code),
      faulty: (error) => {
        const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
        report({
          event: "error",
          code: "internal-error",
          message: `A fault of the agent's own ended the session. Please report it: ${what}`,
        });
      },
      isFinal: (ending) => this.#whyFinal(ending) !== undefined,
    });
  }

  /** Resolves when requests can come for the first time. */
  get connected(): Promise<void> {
    return this.#firstConnected.promise;
  }

  /** Why it ended though nobody asked it to, once `run()` has returned. */
  get final(): Final | undefined {
    return this.#final;
  }

  /** Serves until `drain()`, or until trying again cannot help. */
  async run(): Promise<ExitCode> {
    const { edge } = this.#config;
    if (edge.protocol === "http:" && !isLoopback(edge)) {
      const message = `${edge.origin} is not https: the token and every request can be read on the way.`;
      this.#report({ event: "warning", code: "not-encrypted", message });
    }
    if (this.#config.insecureOrigin) {
      const { label } = this.#config.origin;
      const message = `--insecure-origin: whoever answers at ${label} is believed to be your server.`;
      this.#report({ event: "warning", code: "insecure-origin", message });
    }
    const stopLooking = onWake(() => this.redial("the machine slept"));
    try {
      const ending = await this.#shards.run();
      const final = ending === undefined ? undefined : this.#whyFinal(ending);
      if (final === undefined) return exits.clean;
      this.#final = final;
      this.#report({ event: "error", code: final.code, message: final.message });
      return final.exit;
    } finally {
      stopLooking();
      await this.#drained;
      await this.#origin.close();
    }
  }

  /** Serves an exchange that did not come from the edge; the origin gets the fields `own` beside those of its head. */
  serve(exchange: Exchange, own: HeaderList): void {
    this.#serve.accept(exchange, own);
  }

  /** Takes no new requests, waits for those in flight as long as the grace allows, and lets `run()` return. */
  drain(graceMs = this.#config.graceMs): void {
    if (this.#draining) return;
    this.#draining = true;
    const inFlight = this.#shards.streams;
    this.#report({ event: "draining", inFlight, graceMs });
    const deadlineMs = performance.now() + graceMs;
    this.#drained = this.#shards.drain(deadlineMs, "the agent is shutting down");
  }

  /** Ends at once: what is in flight fails, on both ends. */
  stop(): void {
    this.#draining = true;
    this.#shards.stop();
  }

  /** Dials again at once, whether it waits for that or is connected; what is in flight goes on. */
  redial(note: string): void {
    this.#shards.redial(note);
  }

  #connected(
    shard: number,
    session: Session,
    resumed: boolean,
    visitors: Visitors | undefined,
  ): void {
    const url = publicUrl(this.#config);
    const { service, origin, basePath, concurrency } = this.#config;
    const rttMs = tenths(session.rttMs ?? 0);
    const of = ofShard(shard);
    if (shard === 0) this.#inVain = 0;
    if (resumed) {
      const { streams } = session;
      this.#report({ event: "resumed", ...of, session: session.id, streams, rttMs });
      return;
    }
    const again = this.#connectedBefore.has(shard);
    this.#connectedBefore.add(shard);
    const what = { url, service, session: session.id, rttMs };
    const where = { origin: origin.label + basePath, concurrency };
    const who = visitors === undefined ? {} : { visitors };
    this.#report({ event: "connected", ...of, ...what, ...where, again, ...who });
    if (shard === 0) this.#firstConnected.resolve();
  }

  /** Who has seen the same line so often wants to know more; once is enough. */
  #dialledInVain(): void {
    if (++this.#inVain !== MANY_DIALS) return;
    const message = `Still not connected after ${MANY_DIALS} tries: \`agent doctor\` with the same flags finds out why.`;
    this.#report({ event: "warning", code: "not-connected", message });
  }

  /** It happens with every request; once is enough. */
  #nameRefused(): void {
    if (this.#saidNameRefused) return;
    this.#saidNameRefused = true;
    const message =
      "The server seems to turn visitors away for the name that they came by: --no-public-name keeps that from it, as behind --, or allow the name in the server's own settings.";
    this.#report({ event: "warning", code: "name-refused", message });
  }

  /** The edge sends no more requests. */
  #dismissed(code: ErrorCode): void {
    if (code !== "replaced") return;
    this.#report({ event: "replaced" });
    this.drain();
  }

  /** Why dialling again cannot help; undefined when it may. */
  #whyFinal(ending: Ending): Final | undefined {
    // Who asks for credentials at the start will ask for the same ones at every later dial, and too many wrong ones lock an
    // account. Later it may be the proxy's own trouble.
    if (ending.kind === "unreachable" && ending.unauthorized && this.#connectedBefore.size === 0) {
      return { exit: exits.usage, code: "proxy-unauthorized", message: sentence(ending.says) };
    }
    // A proxy, a firewall or Cloudflare in front of the edge say 401, 403 and 426 for reasons of their own, which may pass.
    if (ending.kind === "refused" && ending.code === undefined) return undefined;
    if (ending.kind === "refused" && (ending.status === 401 || ending.status === 403)) {
      const why =
        ending.code === "unauthorized"
          ? whyRefused(this.#token, this.#config.service, Date.now())
          : ending.says;
      return {
        exit: exits.authentication,
        code: known(ending.code) ?? "unauthorized",
        message: `The edge refused the token: ${why}`,
      };
    }
    if (ending.kind === "refused" && ending.status === 426) {
      const code = known(ending.code) ?? "upgrade-required";
      const message = `${ending.says} If agent and edge are of one version, a proxy on the way takes the upgrade to a WebSocket out of the request.`;
      return { exit: exits.version, code, message };
    }
    if (ending.kind === "mismatch") {
      return { exit: exits.version, code: "upgrade-required", message: ending.says };
    }
    if (ending.kind === "lost" && ending.code === "replaced") {
      return {
        exit: exits.runtime,
        code: "replaced",
        message:
          "Another connection with this agent's identity took its place. Dialling again would only take it back.",
      };
    }
    return undefined;
  }
}

function serverAt(config: ConnectConfig, nameRefused: () => void): Origin {
  return new Origin({
    address: config.origin,
    basePath: config.basePath,
    concurrency: config.concurrency,
    hostHeader: config.hostHeader,
    rewriteLocation: config.rewriteLocation,
    publicName: config.publicName,
    nameRefused,
    tls: originTls(config.originCa, config.insecureOrigin),
    timeoutMs: config.originTimeoutMs,
  });
}

/** An end that trying again does not change. */
export interface Final {
  readonly exit: ExitCode;
  readonly code: AgentCode;
  readonly message: string;
}

function ofShard(shard: number): { readonly shard?: number } {
  return shard === 0 ? {} : { shard };
}

/** Milliseconds with as many digits as are worth something. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function sentence(says: string): string {
  return `${says.charAt(0).toUpperCase()}${says.slice(1)}.`;
}

function noRoom(config: ConnectConfig): string {
  return `as many agents of "${config.service}" are connected as may be. End one (${statusUrl(config).href} lists them to who has the token), or start this one with --replace to take over; when one leaves, this one comes in`;
}

/** A code that the edge gave, unless it is one that only a newer agent knows. */
function known(code: string | undefined): ErrorCode | undefined {
  return code !== undefined && isErrorCode(code) ? code : undefined;
}

/** What a `disconnected` event says. */
function reasonOf(
  ending: Ending,
  proxy: Proxy | undefined,
  config: ConnectConfig,
): { readonly code: AgentCode; readonly reason: string } {
  switch (ending.kind) {
    case "refused": {
      const { status, says } = ending;
      if (ending.code === "too-many-agents") return { code: ending.code, reason: noRoom(config) };
      if (ending.code !== undefined) {
        return { code: known(ending.code) ?? `http-${status}`, reason: says };
      }
      // Gateways in front of an edge say 429 and 5xx; anything else is another server.
      const foreign = status < 500 && status !== 429;
      const way = proxy === undefined ? "a proxy on the way" : `${proxy.label} or another`;
      const reason = foreign
        ? `the upgrade to a WebSocket was answered with ${status}: the server there is not a Sluice edge (is --edge right?), or ${way} does not let WebSockets pass`
        : says;
      return { code: `http-${status}`, reason };
    }
    case "mismatch":
    case "unreachable":
      return { code: "edge-unreachable", reason: ending.says };
    case "lost":
      return { code: ending.code, reason: ending.note };
  }
}
