/**
 * A bad network between an agent and its edge, in user space: a TCP relay that cuts, swallows, stalls, delays and refuses
 * as it is told to, and counts what passes.
 *
 * It never looks into a message and never makes up a byte: what it forwards is a prefix of what was sent.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { MessageCounter } from "../../bench/site/frames.ts";
import { reset } from "../../bench/site/reset.ts";
import { SOON_MS, Watch } from "./until.ts";

/** Towards the edge, or towards the agent. */
export type Direction = "up" | "down";

/** How a connection ends: RST, as from a proxy that lost its state, or FIN, as from one that has had enough. */
export type Cut = "rst" | "fin";

/** When a connection that is to come is cut. The message or byte that is named is still forwarded. */
export interface Trap {
  readonly direction: Direction;
  readonly cut: Cut;
  /** After so many bytes: the upgrade's own count. */
  readonly bytes?: number;
  /** After so many chunks with a message: the first has the HELLO. */
  readonly messages?: number;
}

const DIRECTIONS = ["up", "down"] as const;

/** One direction of a connection. */
class Lane {
  readonly counter = new MessageCounter();
  bytes = 0;
  swallows = false;
  /** Bytes that may still pass before the connection is cut. */
  leftBytes = Number.POSITIVE_INFINITY;
  cut: Cut = "rst";
  readonly #underWay: (() => void)[] = [];

  /** Does `act` after `delayMs`, and never before what was to be done before it. */
  after(delayMs: number, act: () => void): void {
    if (delayMs === 0 && this.#underWay.length === 0) {
      act();
      return;
    }
    this.#underWay.push(act);
    setTimeout(() => this.#underWay.shift()?.(), delayMs);
  }
}

/** One connection through the relay. */
export class Passage {
  /** It carries a WebSocket, or asks for one. */
  isTunnel = false;
  over = false;
  #stalled = false;
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #lanes = { up: new Lane(), down: new Lane() };
  readonly #trap: Trap | undefined;
  readonly #delayMs: () => number;
  readonly #changed: () => void;

  constructor(
    near: Socket,
    far: Socket,
    trap: Trap | undefined,
    delayMs: () => number,
    changed: () => void,
  ) {
    this.#near = near;
    this.#far = far;
    this.#trap = trap;
    this.#delayMs = delayMs;
    this.#changed = changed;
    this.#join(near, far, "up");
    this.#join(far, near, "down");
  }

  messages(direction: Direction): number {
    return this.#lanes[direction].counter.messages;
  }

  bytes(direction: Direction): number {
    return this.#lanes[direction].bytes;
  }

  cut(how: Cut): void {
    if (this.over) return;
    this.over = true;
    for (const socket of [this.#near, this.#far]) {
      if (how === "rst") reset(socket);
      else socket.destroy();
    }
    this.#changed();
  }

  /** Cuts it when `bytes` more have passed, in the middle of a frame as likely as not. */
  cutAfter(direction: Direction, bytes: number, how: Cut): void {
    const lane = this.#lanes[direction];
    lane.leftBytes = bytes;
    lane.cut = how;
  }

  /** From now on what is sent disappears, the end of a connection included. The connection itself stays. */
  swallow(directions: readonly Direction[] = DIRECTIONS): void {
    for (const direction of directions) this.#lanes[direction].swallows = true;
  }

  /** Nothing passes until `resume()`, and nothing is lost. */
  stall(): void {
    this.#stalled = true;
    this.#near.pause();
    this.#far.pause();
  }

  resume(): void {
    this.#stalled = false;
    this.#near.resume();
    this.#far.resume();
  }

  #join(from: Socket, to: Socket, direction: Direction): void {
    const lane = this.#lanes[direction];
    from.on("data", (bytes: Buffer) => {
      if (lane.bytes === 0 && direction === "up") {
        this.isTunnel = bytes.toString("latin1", 0, 16).startsWith("GET /websocket/");
      }
      lane.after(this.#delayMs(), () => this.#forward(from, to, lane, direction, bytes));
    });
    to.on("drain", () => {
      if (!this.#stalled) from.resume();
    });
    from.on("error", () => {
      if (!lane.swallows) reset(to);
    });
    from.on("end", () => {
      if (!lane.swallows) lane.after(this.#delayMs(), () => to.end());
    });
    from.on("close", () => {
      this.over = true;
      if (!lane.swallows) lane.after(this.#delayMs(), () => to.destroySoon());
      this.#changed();
    });
  }

  #forward(from: Socket, to: Socket, lane: Lane, direction: Direction, bytes: Buffer): void {
    if (this.over && to.destroyed) return;
    lane.counter.push(bytes);
    lane.bytes += bytes.length;
    const passes = bytes.subarray(0, Math.min(bytes.length, lane.leftBytes));
    lane.leftBytes -= passes.length;
    const trap = this.#trap;
    const trapped =
      trap?.direction === direction &&
      lane.bytes >= (trap.bytes ?? 0) &&
      lane.counter.messages >= (trap.messages ?? 0);
    if (lane.swallows) {
      this.#changed();
      return;
    }
    const isFull = !to.write(passes, () => {
      if (trapped) this.cut(trap.cut);
      else if (lane.leftBytes <= 0) this.cut(lane.cut);
    });
    if (isFull) from.pause();
    this.#changed();
  }
}

export class FaultRelay {
  readonly port: number;
  /** Every connection so far, in order. */
  readonly passages: Passage[] = [];
  /** Whether new connections are refused. */
  refuses = false;
  /** How long what is sent is on its way, in each direction. */
  delayMs = 0;
  /** For tunnels to come, one each. */
  readonly traps: Trap[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #watch = new Watch();

  private constructor(server: Server, to: number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (near) => this.#onConnection(near, to));
  }

  /** Leads to `to` on this machine. */
  static async start(to: number): Promise<FaultRelay> {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new FaultRelay(server, to);
  }

  /** What `--edge` is to be for an agent behind it. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The WebSockets that are up, or coming up. */
  get tunnels(): Passage[] {
    return this.passages.filter(({ isTunnel, over }) => isTunnel && !over);
  }

  /** The latest of them. @throws Error when there is none */
  get tunnel(): Passage {
    const last = this.tunnels.at(-1);
    if (last === undefined) throw new Error("no tunnel goes through the relay");
    return last;
  }

  /** The same, as soon as there is one. */
  async nextTunnel(ms = SOON_MS): Promise<Passage> {
    return this.#watch.until(() => this.tunnels.at(-1), "a tunnel through the relay", ms);
  }

  /** Cuts all that is up. */
  cut(how: Cut = "rst"): void {
    for (const passage of this.passages) passage.cut(how);
  }

  /** WebSocket messages so far. */
  messages(direction: Direction): number {
    return this.passages.reduce((sum, passage) => {
      return passage.isTunnel ? sum + passage.messages(direction) : sum;
    }, 0);
  }

  /** Forgets connections that are over, so that a long run does not keep them. */
  forget(): void {
    const kept = this.passages.filter(({ over }) => !over);
    this.passages.splice(0, this.passages.length, ...kept);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #onConnection(near: Socket, to: number): void {
    if (this.refuses) {
      near.on("error", () => {});
      reset(near);
      this.#watch.changed();
      return;
    }
    const far = connect({ port: to, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    }
    const silent = (): void => far.destroySoon();
    near.once("close", silent);
    near.once("data", (first: Buffer) => {
      near.off("close", silent);
      // Traps are for tunnels, which the first bytes tell.
      near.pause();
      near.unshift(first);
      const isTunnel = first.toString("latin1", 0, 16).startsWith("GET /websocket/");
      const trap = isTunnel ? this.traps.shift() : undefined;
      const passage = new Passage(
        near,
        far,
        trap,
        () => this.delayMs,
        () => this.#watch.changed(),
      );
      this.passages.push(passage);
      near.resume();
    });
    near.resume();
  }
}
