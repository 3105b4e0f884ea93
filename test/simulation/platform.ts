/**
 * A world as what the kernel needs of a platform, for one end and as long as its process lives. What was released is
 * spoilt at once: whoever still needs it will notice.
 */
import type { Platform } from "../../codec/transport.ts";
import type { World } from "./world.ts";

export class SimulatedPlatform implements Platform {
  readonly #world: World;
  readonly #released = new WeakSet<Uint8Array>();
  #timers = 0;
  #dead = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** Timers that have neither rung nor been stopped. */
  get timers(): number {
    return this.#timers;
  }

  /** The process is gone: none of its timers rings. */
  kill(): void {
    this.#dead = true;
  }

  now(): number {
    return this.#world.nowMs;
  }

  schedule(flush: () => void): void {
    const { random } = this.#world;
    this.#world.after(random.chance(0.9) ? 0 : random.next(), () => {
      if (!this.#dead) flush();
    });
  }

  after(ms: number, due: () => void): () => void {
    this.#timers++;
    let pending = true;
    const stop = this.#world.after(ms, () => {
      pending = false;
      this.#timers--;
      if (!this.#dead) due();
    });
    return () => {
      if (!pending) return;
      pending = false;
      this.#timers--;
      stop();
    };
  }

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  release(message: Uint8Array): void {
    if (this.#released.has(message)) this.#world.violate("a message was released twice");
    this.#released.add(message);
    message.fill(0xdd);
  }
}
