/**
 * A WebSocket between an agent and an edge, and all that can befall it: delay, little bandwidth, a stall of one
 * direction, a break that each end notices in its own time. What was sent arrives in order, or a prefix of it.
 */
import type { Transport } from "../../codec/transport.ts";
import type { World } from "./world.ts";

/** The network of one run. */
export interface Network {
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly bytesPerMs: number;
  /** An agent's socket takes no more while so much is unsent; an edge's always does, as workerd's. */
  readonly fullBytes: number;
}

/** An end that was well for so long must not be taken for dead: `DEAD_AFTER_MS`, and a look every 5 s. */
const SURELY_WELL_MS = 35_000;

/** What arrives: a message, or the close frame. */
type Item =
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  | { readonly kind: "close"; readonly code: number; readonly reason: string };

/** How long an end that closes waits for the other to answer. */
const CLOSE_WITHIN_MS = 5000;

/** One direction. */
class Pipe {
  readonly #world: World;
  readonly #network: Network;
  readonly #arrived: (item: Item) => void;
  readonly #items: Item[] = [];
  #arrivesMs = 0;
  #stalledUntilMs = 0;
  #broken = false;
  queuedBytes = 0;

  constructor(world: World, network: Network, arrived: (item: Item) => void) {
    this.#world = world;
    this.#network = network;
    this.#arrived = arrived;
  }

  get length(): number {
    return this.#items.length;
  }

  send(item: Item): void {
    if (this.#broken) return;
    const { latencyMs, jitterMs, bytesPerMs } = this.#network;
    const { nowMs, random } = this.#world;
    const bytes = item.kind === "message" ? item.bytes.length : 0;
    this.#arrivesMs =
      Math.max(this.#arrivesMs, nowMs + latencyMs + jitterMs * random.next()) + bytes / bytesPerMs;
    this.#items.push(item);
    this.queuedBytes += bytes;
    this.#world.after(this.#arrivesMs - nowMs, () => this.#next());
  }

  stall(ms: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.#world.nowMs + ms);
  }

  /** Nothing is taken any more, and of what is on its way only the first `kept` items arrive. */
  break(kept: number): void {
    this.#broken = true;
    for (const item of this.#items.splice(kept)) {
      if (item.kind === "message") this.queuedBytes -= item.bytes.length;
    }
  }

  #next(): void {
    const leftMs = this.#stalledUntilMs - this.#world.nowMs;
    if (leftMs > 0) {
      this.#world.after(leftMs, () => this.#next());
      return;
    }
    const item = this.#items.shift();
    if (item === undefined) return;
    if (item.kind === "message") this.queuedBytes -= item.bytes.length;
    this.#arrived(item);
  }
}

/** What an end of a cable tells whoever holds it. */
export interface Holder {
  message(bytes: Uint8Array): void;
  /** Called once. `code` is 1006 when the socket broke. */
  lost(code: number, reason: string): void;
  /** The socket takes more again. */
  drained(): void;
}

/** One end of a cable. */
export class End implements Transport {
  /** Set by whoever takes the end. */
  holder: Holder | undefined;
  /** Where what is sent goes. Set once, by the cable. */
  out: Pipe | undefined;
  /** Set once, by the cable. */
  cable: Cable | undefined;
  /** The other end. Set once, by the cable. */
  peer: End | undefined;
  readonly #world: World;
  readonly #name: string;
  readonly #fullBytes: number;
  #closing = false;
  #lost = false;
  #wasFull = false;

  constructor(world: World, name: string, fullBytes: number) {
    this.#world = world;
    this.#name = name;
    this.#fullBytes = fullBytes;
  }

  get name(): string {
    return this.#name;
  }

  /** Whether the holder knows that the socket is gone, or has closed it itself. */
  get over(): boolean {
    return this.#lost || this.#closing;
  }

  get full(): boolean {
    const full = (this.out?.queuedBytes ?? 0) >= this.#fullBytes;
    this.#wasFull ||= full;
    return full;
  }

  send(message: Uint8Array): void {
    if (this.over) return;
    if (this.#world.traced) this.#world.note(`${this.#name} sends ${message.length} bytes`);
    this.out?.send({ kind: "message", bytes: message });
  }

  close(code: number, reason: string): void {
    if (this.over) return;
    if (reason === "no sign of life") this.cable?.giveUp();
    this.#closing = true;
    this.#world.note(`${this.#name} closes ${code} ${reason}`);
    this.out?.send({ kind: "close", code, reason });
    this.#world.after(CLOSE_WITHIN_MS, () => this.lose(code, reason));
  }

  /** The holder notices that the socket is gone. */
  lose(code: number, reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#world.note(`${this.#name} is lost ${code} ${reason}`);
    this.holder?.lost(code, reason);
  }

  /** The holder itself is gone, and notices nothing any more. */
  forsake(): void {
    this.#lost = true;
    this.holder = undefined;
  }

  /** The machine of the holder is gone: nothing arrives from it any more, not even what is on its way. */
  vanish(): void {
    this.out?.break(0);
  }

  arrived(item: Item, other: End): void {
    if (item.kind === "close") {
      this.lose(item.code, item.reason);
      other.lose(item.code, item.reason);
    } else {
      // Its sender may have it back as soon as we have acknowledged it; what we keep is ours.
      if (!this.#lost) this.holder?.message(item.bytes.slice());
      other.sent();
    }
  }

  sent(): void {
    if (this.#lost || !this.#wasFull || (this.out?.queuedBytes ?? 0) >= this.#fullBytes) return;
    this.#wasFull = false;
    this.holder?.drained();
  }
}

export class Cable {
  readonly agent: End;
  readonly edge: End;
  readonly #world: World;
  readonly #up: Pipe;
  readonly #down: Pipe;
  /** When its last trouble was over. */
  #wellSinceMs: number;

  constructor(world: World, network: Network, name: string) {
    this.#world = world;
    this.#wellSinceMs = world.nowMs;
    this.agent = new End(world, `${name} agent's end`, network.fullBytes);
    this.edge = new End(world, `${name} edge's end`, Number.POSITIVE_INFINITY);
    this.#up = new Pipe(world, network, (item) => this.edge.arrived(item, this.agent));
    this.#down = new Pipe(world, network, (item) => this.agent.arrived(item, this.edge));
    this.agent.out = this.#up;
    this.edge.out = this.#down;
    this.agent.cable = this;
    this.edge.cable = this;
    this.agent.peer = this.edge;
    this.edge.peer = this.agent;
  }

  /** For how long everything sent has arrived, and both ends were there: who takes the other for dead is wrong then. */
  get wellForMs(): number {
    if (this.agent.over || this.edge.over || this.agent.holder === undefined) return 0;
    return Math.max(0, this.#world.nowMs - this.#wellSinceMs);
  }

  /** The socket breaks: a part of what is on its way still arrives, and each end notices after a while. */
  cut(agentNoticesMs: number, edgeNoticesMs: number): void {
    const { random } = this.#world;
    this.#wellSinceMs = Number.POSITIVE_INFINITY;
    for (const pipe of [this.#up, this.#down]) {
      pipe.break(random.chance(0.5) ? 0 : random.between(0, pipe.length));
    }
    this.#world.note(
      `${this.agent.name} cut, noticed by the agent in ${agentNoticesMs} ms, by the edge in ${edgeNoticesMs} ms`,
    );
    this.#world.after(agentNoticesMs, () => this.agent.lose(1006, ""));
    this.#world.after(edgeNoticesMs, () => this.edge.lose(1006, ""));
  }

  /** One end takes the other for dead. */
  giveUp(): void {
    if (this.wellForMs >= SURELY_WELL_MS) {
      this.#world.lose(`${this.agent.name} is given up, though nothing is wrong with it`);
    }
  }

  /** One direction moves nothing for a while. */
  stall(direction: "up" | "down", ms: number): void {
    this.#world.note(`${this.agent.name} ${direction} stalls for ${ms} ms`);
    this.#wellSinceMs = Math.max(this.#wellSinceMs, this.#world.nowMs + ms);
    (direction === "up" ? this.#up : this.#down).stall(ms);
  }

  /** Somebody on the way sends `message` to the edge or to the agent. */
  forge(to: "edge" | "agent", message: Uint8Array): void {
    this.#world.note(`forged: ${message.length} bytes to ${this[to].name}`);
    (to === "edge" ? this.#up : this.#down).send({ kind: "message", bytes: message });
  }
}
