/**
 * The agent: dials, serves, dials again when the connection is lost, and drains at the end.
 *
 * It decides when to give up: only when trying again cannot help (token refused, other version, replaced).
 */
import { randomBytes } from "node:crypto";
import type { Session } from "../codec/session.ts";
import { backoffMs } from "./backoff.ts";
import { type ConnectConfig, isLoopback, publicUrl, socketUrl } from "./config.ts";
import { Dial, type Ending } from "./dial.ts";
import { showMs } from "./duration.ts";
import type { Log } from "./log.ts";
import { Origin } from "./origin.ts";
import { whyRefused } from "./refused-token.ts";
import { Serve } from "./serve.ts";
import { type ExitCode, exits } from "./usage.ts";

/** A connection that lasted this long was a good one: the next loss begins the waits anew. */
const STABLE_MS = 10_000;

/** How often a draining agent looks whether the last answer is out. */
const DRAINED_CHECK_MS = 10;

export class Agent {
  readonly #config: ConnectConfig;
  readonly #token: string;
  readonly #log: Log;
  readonly #origin: Origin;
  readonly #serve: Serve;
  /** Names this process to the edge. */
  readonly #id = randomBytes(16).toString("base64url");
  #dial: Dial | undefined;
  #session: Session | undefined;
  readonly #firstConnected = Promise.withResolvers<void>();
  #connectedBefore = false;
  #draining = false;
  /** Settles when a drained connection has closed. */
  #drained: Promise<void> | undefined;
  /** Ends the wait between two dials. */
  #hurry: (() => void) | undefined;

  constructor(config: ConnectConfig, token: string, log: Log) {
    this.#config = config;
    this.#token = token;
    this.#log = log;
    this.#origin = new Origin({
      address: config.origin,
      concurrency: config.concurrency,
      hostHeader: config.hostHeader,
      timeoutMs: config.originTimeoutMs,
    });
    this.#serve = new Serve({
      origin: this.#origin,
      concurrency: config.concurrency,
      finished: (request) => log.event(request),
    });
  }

  /** Resolves when requests can come for the first time. */
  get connected(): Promise<void> {
    return this.#firstConnected.promise;
  }

  /** Serves until `drain()`, or until trying again cannot help. */
  async run(): Promise<ExitCode> {
    const { edge } = this.#config;
    const url = socketUrl(this.#config);
    if (url.protocol === "ws:" && !isLoopback(url)) {
      this.#log.say(
        `warning: ${edge.origin} is not https: the token and every request can be read on the way.`,
      );
    }
    try {
      return await this.#loop(url);
    } finally {
      await this.#drained;
      await this.#origin.close();
    }
  }

  /** Takes no new requests, waits for those in flight as long as the grace allows, and lets `run()` return. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    const inFlight = this.#session?.streams ?? 0;
    const { graceMs } = this.#config;
    this.#log.event({ event: "draining", inFlight });
    if (inFlight > 0) {
      this.#log.say(
        `draining: ${inFlight === 1 ? "1 request" : `${inFlight} requests`} in flight, up to ${showMs(graceMs)} (Ctrl-C again to stop now)`,
      );
    }
    if (this.#dial !== undefined) this.#drained = drained(this.#dial, this.#session, graceMs);
    this.#hurry?.();
  }

  /** Ends at once: what is in flight fails, on both ends. */
  stop(): void {
    this.#draining = true;
    this.#dial?.hangUp("shutting-down", "");
    this.#hurry?.();
  }

  /** Dials again at once, whether it waits for that or is connected. */
  redial(): void {
    if (this.#draining) return;
    if (this.#hurry === undefined) this.#dial?.hangUp("agent-lost", "asked to dial again");
    else this.#hurry();
  }

  async #loop(url: URL): Promise<ExitCode> {
    for (let attempt = 0; !this.#draining; attempt++) {
      let connectedMs = Number.POSITIVE_INFINITY;
      const dial = new Dial({
        url,
        token: this.#token,
        id: this.#id,
        accept: (exchange) => this.#serve.accept(exchange),
        connected: (session, peer) => {
          connectedMs = performance.now();
          this.#session = session;
          this.#connected(session, peer.session);
        },
      });
      this.#dial = dial;
      const ending = await dial.ended;
      this.#dial = undefined;
      this.#session = undefined;
      if (this.#draining) break;
      const exit = this.#giveUp(ending);
      if (exit !== undefined) return exit;
      if (performance.now() - connectedMs >= STABLE_MS) attempt = 0;
      await this.#pause(ending, attempt);
    }
    return exits.clean;
  }

  #connected(session: Session, sessionId: string): void {
    const url = publicUrl(this.#config);
    const { service, origin, concurrency } = this.#config;
    const rttMs = Math.round((session.rttMs ?? 0) * 10) / 10;
    this.#log.event({ event: "connected", url, service, session: sessionId, rttMs });
    if (this.#connectedBefore) {
      this.#log.say(`connected again, rtt ${showMs(rttMs)}`);
      return;
    }
    this.#connectedBefore = true;
    this.#firstConnected.resolve();
    this.#log.url(url);
    this.#log.field("Public", url);
    this.#log.field("Origin", origin.label);
    this.#log.say(`connected, rtt ${showMs(rttMs)}, up to ${concurrency} requests at once`);
    this.#log.note(
      `Everyone whom the edge lets through reaches ${origin.label}; without VISITORS=token that is everyone who knows the URL.`,
    );
  }

  /** The exit code when dialling again cannot help, after saying why. */
  #giveUp(ending: Ending): ExitCode | undefined {
    if (ending.kind === "refused" && (ending.status === 401 || ending.status === 403)) {
      return this.#fail(
        exits.authentication,
        ending.code ?? "unauthorized",
        `The edge refused the token: ${
          ending.code === "unauthorized"
            ? whyRefused(this.#token, this.#config.service, Date.now())
            : ending.says
        }`,
      );
    }
    if (ending.kind === "refused" && ending.status === 426) {
      return this.#fail(exits.version, ending.code ?? "upgrade-required", ending.says);
    }
    if (ending.kind === "mismatch")
      return this.#fail(exits.version, "upgrade-required", ending.says);
    if (ending.kind === "ended" && ending.error.code === "replaced") {
      return this.#fail(
        exits.runtime,
        "replaced",
        "Another connection with this agent's identity took its place. Dialling again would only take it back.",
      );
    }
    return undefined;
  }

  #fail(exit: ExitCode, code: string, message: string): ExitCode {
    this.#log.event({ event: "error", code, message });
    return exit;
  }

  async #pause(ending: Ending, attempt: number): Promise<void> {
    const asked = ending.kind === "refused" ? (ending.retryAfterMs ?? 0) : 0;
    const retryMs = Math.round(backoffMs(attempt, Math.random(), asked));
    this.#log.event({ event: "disconnected", ...reasonOf(ending), retryMs });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hurry = resolve;
    const timer = setTimeout(resolve, retryMs);
    await promise;
    clearTimeout(timer);
    this.#hurry = undefined;
  }
}

/** Lets what is in flight finish, as long as the grace allows, and ends the connection. Returns when it has closed. */
async function drained(dial: Dial, session: Session | undefined, graceMs: number): Promise<void> {
  const deadlineMs = performance.now() + graceMs;
  session?.drain("the agent is shutting down");
  // A stream is over when its last frame was handed to the socket; no event tells that, and this is once in a life.
  const unfinished = (): boolean => (session?.streams ?? 0) > 0 || dial.unsentBytes > 0;
  while (unfinished() && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, DRAINED_CHECK_MS));
  }
  dial.hangUp("shutting-down", "");
  // The edge answers the close frame behind all that was sent. A process that exits before takes that with it.
  await dial.closed;
}

/** What a `disconnected` event says. */
function reasonOf(ending: Ending): { readonly code: string; readonly reason: string } {
  switch (ending.kind) {
    case "refused": {
      const { code, status, says } = ending;
      if (code !== undefined) return { code, reason: says };
      // Gateways in front of an edge say 429 and 5xx; anything else is another server.
      const foreign = status < 500 && status !== 429;
      const reason = foreign ? "the server there is not a Sluice edge (is --edge right?)" : says;
      return { code: `http-${status}`, reason };
    }
    case "mismatch":
    case "unreachable":
      return { code: "edge-unreachable", reason: ending.says };
    case "ended":
      return { code: ending.error.code, reason: ending.error.note };
  }
}
