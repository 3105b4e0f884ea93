/**
 * Who writes and who reads a body, each at a pace of its own. They hear of progress only by the promises of the kernel's
 * face: a wake-up that is lost stops them for good.
 */
import type { IncomingBody, OutgoingBody } from "../../codec/body.ts";
import { MOST_PIECE_BYTES, type Pattern } from "./pattern.ts";
import type { World } from "./world.ts";

/** How fast somebody writes or reads. */
export interface Pace {
  /** The most bytes of one write. */
  readonly pieceBytes: number;
  /** How likely it is that there is a pause after a piece. */
  readonly pauses: number;
  readonly mostPauseMs: number;
}

/** Does `act`, now or after a pause. */
function atPace(world: World, { pauses, mostPauseMs }: Pace, act: () => void): boolean {
  if (world.quiet || !world.random.chance(pauses)) return false;
  world.after(world.random.next() * mostPauseMs, act);
  return true;
}

export interface WriterOptions {
  readonly world: World;
  readonly outgoing: OutgoingBody;
  readonly pattern: Pattern;
  readonly size: number;
  readonly pace: Pace;
  /** After so many bytes the writer fails instead. */
  readonly failsAt: number | undefined;
  readonly failed: () => void;
  readonly written: () => void;
  /** The kernel takes no more: the exchange has ended. */
  readonly refused: (error: unknown) => void;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #headroom: boolean;
  #offset = 0;
  #stopped = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#headroom = options.world.random.chance(0.3);
    options.outgoing.headroom = this.#headroom;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Writes on, until it has to wait. */
  step(): void {
    const { world, outgoing, pattern, size, pace, failsAt, failed, written, refused } =
      this.#options;
    while (!this.#stopped) {
      if (failsAt !== undefined && this.#offset >= failsAt) {
        this.#stopped = true;
        failed();
        return;
      }
      if (this.#offset === size) {
        this.#stopped = true;
        outgoing.end();
        written();
        return;
      }
      const most = Math.min(pace.pieceBytes, MOST_PIECE_BYTES, size - this.#offset);
      const piece = pattern.bytes(this.#offset, world.random.between(1, most), this.#headroom);
      this.#offset += piece.length;
      const onReady = world.listening(() => this.step());
      if (!outgoing.write(piece)) {
        outgoing.ready().then(onReady, world.listening(refused));
        return;
      }
      if (atPace(world, pace, () => this.step())) return;
    }
  }
}

export interface ReaderOptions {
  readonly world: World;
  readonly incoming: IncomingBody;
  readonly pattern: Pattern;
  readonly pace: Pace;
  /** For messages: whose body it is. */
  readonly name: string;
  /** After so many bytes the reader wants no more. */
  readonly stopsAt: number | undefined;
  readonly enough: () => void;
  /** The body has ended well. */
  readonly ended: (bytes: number) => void;
  /** The body was cut. */
  readonly cut: (error: unknown) => void;
}

export class Reader {
  readonly #options: ReaderOptions;
  #offset = 0;
  #stopped = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Reads on, until it has to wait. */
  step(): void {
    const { world, incoming, pattern, pace, name, stopsAt, enough, ended, cut } = this.#options;
    while (!this.#stopped) {
      const chunk = incoming.take();
      if (chunk === undefined) {
        if (incoming.ended) {
          this.#stopped = true;
          ended(this.#offset);
        } else {
          const onReady = world.listening(() => this.step());
          incoming.ready().then(
            onReady,
            world.listening((error) => {
              if (!this.#stopped) cut(error);
            }),
          );
        }
        return;
      }
      if (!pattern.matches(this.#offset, chunk)) {
        world.lose(`${name} has wrong bytes from ${this.#offset} on`);
        if (!world.deceived) return;
      }
      this.#offset += chunk.length;
      if (stopsAt !== undefined && this.#offset >= stopsAt) {
        this.#stopped = true;
        enough();
        return;
      }
      if (atPace(world, pace, () => this.step())) return;
    }
  }
}
