/**
 * An agent's process: a real dialer, and around it what `agent/connection/connection.ts` does: dials, dials again, looks after a
 * silent edge, drains, ends.
 */
import { Budget } from "../../codec/budget.ts";
import { Dialer } from "../../codec/dialer.ts";
import type { ErrorCode } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { MAX_STREAMS, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import type { Blame } from "./blame.ts";
import { Cable, type Network } from "./cable.ts";
import type { Edge } from "./edge.ts";
import { Origin } from "./origin.ts";
import { SimulatedPlatform } from "./platform.ts";
import type { World } from "./world.ts";

/** As in `agent/connection/dial.ts`. */
const LOOK_MS = 5000;
const HELLO_WITHIN_MS = 10_000;
/** How long a draining agent waits for what is in flight, and how often it looks. */
const DRAIN_MS = 30_000;
const DRAINED_CHECK_MS = 50;
const CONFIRMED_WITHIN_MS = 2000;
const ASK_AGAIN_MS = 250;

export interface AgentOptions {
  readonly world: World;
  readonly blame: Blame;
  readonly network: Network;
  readonly edge: Edge;
  readonly name: string;
  readonly replace: boolean;
  readonly budgetBytes: number | undefined;
  readonly retainBytes: number | undefined;
}

export class Agent {
  readonly name: string;
  readonly platform: SimulatedPlatform;
  readonly budget: Budget;
  readonly dialer: Dialer;
  /** Takes no new requests. */
  draining = false;
  gone = false;
  /** No dial succeeds until then. */
  offlineUntilMs = 0;
  /** The next dials break during the greeting. */
  fragileDials = 0;
  /** Somebody has opened a socket with its identity: what that gets while the agent is gone nobody answers. */
  impersonated = false;
  readonly origins = new Set<Origin>();
  readonly #options: AgentOptions;
  readonly #world: World;
  #cable: Cable | undefined;
  #dials = 0;

  constructor(options: AgentOptions) {
    const { world, name, budgetBytes } = options;
    this.name = name;
    this.#world = world;
    this.#options = options;
    this.platform = new SimulatedPlatform(world);
    this.budget = new Budget(budgetBytes);
    this.dialer = new Dialer({
      platform: this.platform,
      introduction: {
        maxStreams: MAX_STREAMS,
        credit: REQUEST_CREDIT_BYTES,
        grace: 0,
        software: name,
      },
      accept: (exchange) => this.#accept(exchange),
      connected: (session, resumed) => {
        world.note(`${name} is connected, session ${session.id}${resumed ? " resumed" : ""}`);
      },
      draining: (code) => this.#dismissed(code),
      budget: this.budget,
      ...(options.retainBytes === undefined ? {} : { retainBytes: options.retainBytes }),
    });
    world.after(0, () => this.#dial());
    world.after(LOOK_MS, () => this.#look());
  }

  /** The socket in use or about to be. */
  get cable(): Cable | undefined {
    return this.#cable;
  }

  get busy(): boolean {
    for (const origin of this.origins) if (!origin.busy) this.origins.delete(origin);
    return !this.gone && this.origins.size > 0;
  }

  /** Dials again at once, whatever it does now. */
  redial(): void {
    const cable = this.#cable;
    if (cable === undefined || this.gone) return;
    this.#world.note(`${this.name} dials again`);
    this.#abandon(cable);
  }

  drain(): void {
    if (this.draining || this.gone) return;
    this.draining = true;
    this.#world.note(`${this.name} drains`);
    this.#options.blame.codes("draining", "agent-offline");
    if (!this.dialer.greeted) this.#options.blame.agent(this.name);
    this.dialer.drain("the agent is shutting down");
    const untilMs = this.#world.nowMs + DRAIN_MS;
    const check = (): void => {
      if (this.gone) return;
      const late = this.#world.nowMs >= untilMs;
      if (!late && this.#unfinished) {
        this.#world.after(DRAINED_CHECK_MS, check);
        return;
      }
      if (late) this.#options.blame.agent(this.name);
      this.#confirm(ASK_AGAIN_MS, this.#world.nowMs + CONFIRMED_WITHIN_MS);
    };
    check();
  }

  /** Asks the edge whether it has all, until it has. */
  #confirm(pauseMs: number, untilMs: number): void {
    const askMs = this.#world.nowMs + pauseMs;
    this.dialer.session?.ask();
    const check = (): void => {
      if (this.gone) return;
      const retained = (this.dialer.session?.retainedBytes ?? 0) > 0;
      if (!retained) this.#leave();
      else if (this.#world.nowMs >= untilMs) {
        this.#options.blame.agent(this.name);
        this.#leave();
      } else if (this.#world.nowMs >= askMs) this.#confirm(2 * pauseMs, untilMs);
      else this.#world.after(DRAINED_CHECK_MS, check);
    };
    this.#world.after(DRAINED_CHECK_MS, check);
  }

  /** The process is killed. */
  kill(): void {
    if (this.gone) return;
    this.#world.note(`${this.name} is killed`);
    this.#options.blame.everything();
    this.gone = true;
    this.platform.kill();
    for (const origin of this.origins) origin.kill();
    const cable = this.#cable;
    cable?.agent.forsake();
    cable?.cut(0, this.#world.random.chance(0.5) ? 1 : this.#world.random.between(1, 60_000));
  }

  /** The socket breaks. */
  cut(agentNoticesMs: number, edgeNoticesMs: number): void {
    this.#cable?.cut(agentNoticesMs, edgeNoticesMs);
  }

  get #unfinished(): boolean {
    return this.dialer.streams > 0 || (this.#cable?.agent.out?.queuedBytes ?? 0) > 0;
  }

  #accept(exchange: Exchange): void {
    const { world, blame, edge } = this.#options;
    const visitor = edge.visitors.get(Number(exchange.request.path.slice(1)));
    if (visitor === undefined) {
      world.lose(`${this.name} got a request that nobody sent`);
      return;
    }
    world.note(`${visitor.name} has reached ${this.name}`);
    if (this.draining) world.violate(`${visitor.name} was accepted after GOAWAY`);
    if (!visitor.plan.originRefuses && ++visitor.served > 1) {
      world.lose(`${visitor.name} was served twice`);
    }
    this.origins.add(new Origin({ world, blame, exchange, visitor, agent: this.name }));
  }

  #dismissed(code: ErrorCode): void {
    // As agent/agent.ts: only a successor makes an agent leave.
    if (code === "replaced") this.#world.after(0, () => this.drain());
  }

  #leave(): void {
    this.#world.note(`${this.name} leaves`);
    if (this.impersonated) this.#options.blame.agent(this.name);
    this.gone = true;
    this.dialer.end("shutting-down", "");
    this.#cable?.agent.close(1000, "");
    this.platform.kill();
    for (const origin of this.origins) origin.kill();
  }

  #dial(): void {
    if (this.gone) return;
    const { edge, network, replace } = this.#options;
    const world = this.#world;
    const { random } = world;
    if (world.nowMs < this.offlineUntilMs) {
      world.after(random.next() * 1000, () => this.#dial());
      return;
    }
    const cable = new Cable(world, network, `${this.name}#${++this.#dials}`);
    this.#cable = cable;
    cable.agent.holder = {
      message: (bytes) => this.dialer.receive(cable.agent, bytes),
      lost: (code, reason) => this.#lost(cable, code, reason),
      drained: () => this.dialer.session?.flush(),
    };
    world.after(network.latencyMs + network.jitterMs * random.next(), () => {
      // The agent may have given up, and its dial comes nevertheless.
      if (cable.agent.over && random.chance(0.5)) return;
      edge.connect(cable.edge, this.name, replace);
      if (cable.agent.over) {
        world.after(random.next() * 12_000, () => cable.edge.lose(1006, ""));
      }
      world.after(network.latencyMs, () => this.#open(cable));
    });
  }

  #open(cable: Cable): void {
    const world = this.#world;
    if (this.gone || cable.agent.over) return;
    this.dialer.open(cable.agent);
    if (this.fragileDials > 0 && !world.quiet) {
      this.fragileDials--;
      const { latencyMs } = this.#options.network;
      world.after(world.random.next() * 4 * (latencyMs + 1), () => {
        if (this.#cable === cable) this.cut(world.random.next() * 100, world.random.next() * 100);
      });
    }
    world.after(HELLO_WITHIN_MS, () => {
      if (this.#cable === cable && !this.dialer.greeted) this.#abandon(cable);
    });
  }

  #lost(cable: Cable, code: number, reason: string): void {
    this.dialer.lost(cable.agent, code, reason);
    if (this.gone || this.#cable !== cable) return;
    this.#cable = undefined;
    const waitMs = this.dialer.streams > 0 ? 0 : this.#world.random.next() * 500;
    this.#world.after(waitMs, () => {
      if (this.#cable === undefined) this.#dial();
    });
  }

  /** Asks for a sign of life when it is time to. */
  #look(): void {
    if (this.gone) return;
    const cable = this.#cable;
    if (this.dialer.session?.tick() === false && cable !== undefined) {
      cable.giveUp();
      this.#abandon(cable);
    }
    this.#world.after(LOOK_MS, () => this.#look());
  }

  /** As if the socket had broken. The edge may hear of it late. */
  #abandon(cable: Cable): void {
    const { random } = this.#world;
    cable.agent.lose(1006, "");
    cable.cut(0, random.chance(0.7) ? random.next() * 100 : random.next() * 20_000);
  }
}
