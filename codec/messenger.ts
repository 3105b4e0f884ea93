/**
 * Frames to numbered messages on whatever transport there is, and messages to frames. It knows no streams.
 */
import type { Budget } from "./budget.ts";
import { TunnelError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import { MAX_MESSAGE_BYTES, MESSAGE_TARGET_BYTES } from "./limits.ts";
import { Link } from "./link.ts";
import type { Platform, Transport } from "./transport.ts";
import { MessageReader, MessageWriter } from "./wire.ts";

export interface MessengerOptions {
  readonly platform: Platform;
  readonly budget: Budget;
  /** The most bytes to keep of what the peer has not acknowledged. */
  readonly retainBytes: number;
}

export class Messenger {
  readonly #link: Link;
  readonly #writer = new MessageWriter();
  readonly #allocate: (bytes: number) => Uint8Array;
  #transport: Transport | undefined;

  constructor({ platform, budget, retainBytes }: MessengerOptions) {
    this.#allocate = (bytes) => platform.allocate(bytes);
    this.#link = new Link({ retainBytes, budget, release: (message) => platform.release(message) });
  }

  /** The transport in use. */
  get transport(): Transport | undefined {
    return this.#transport;
  }

  /** How many messages of the peer have arrived. */
  get received(): number {
    return this.#link.received;
  }

  /** See `Link.untouched`. */
  get untouched(): boolean {
    return this.#link.untouched;
  }

  /** See `Link.owes`. */
  get owes(): boolean {
    return this.#link.owes;
  }

  /** See `Link.retainedBytes`. */
  get retainedBytes(): number {
    return this.#link.retainedBytes;
  }

  /** Whether the transport takes nothing now: there is none, or it is full. */
  get blocked(): boolean {
    return this.#transport === undefined || this.#transport.full;
  }

  /** Whether so much is unacknowledged that nothing may follow but the question for an ACK. */
  get full(): boolean {
    return this.#link.full;
  }

  /** Whether the peer can have received `received` messages. */
  accepts(received: number): boolean {
    return this.#link.accepts(received);
  }

  /** Takes a transport whose peer has received so many messages, and sends again what it has not. Returns how many bytes that were. */
  attach(transport: Transport, received: number): number {
    this.#transport = transport;
    this.#link.acknowledge(received);
    let bytes = 0;
    for (const message of this.#link.unacknowledged()) {
      transport.send(message);
      bytes += message.length;
    }
    return bytes;
  }

  /** The transport is gone. */
  detach(): void {
    this.#transport = undefined;
  }

  /** The session is over. */
  close(): void {
    this.#transport = undefined;
    this.#link.clear();
  }

  /** An ACK has arrived. @throws TunnelError when so many messages were never sent. */
  acknowledged(received: number): void {
    if (this.#link.acknowledge(received)) return;
    throw new TunnelError("protocol-error", `ACK of ${received} messages, which were never sent`);
  }

  /**
   * One message of what `poll` gives, up to the target size. Returns its size; 0 when there is nothing to send.
   * Call it only when not `blocked`.
   */
  send(poll: () => Frame | undefined): number {
    const writer = this.#writer;
    let frame = poll();
    if (frame === undefined) return 0;
    // A PING may be asking for just that.
    if (this.#link.ackRides || frame.kind === "pong") {
      writer.add({ kind: "ack", received: this.#link.announce() });
    }
    let owed = false;
    for (; frame !== undefined; frame = poll()) {
      // An answer may be complete before its request: then the rest of that is under way though no stream is open here.
      owed ||= frame.kind === "data" || frame.kind === "end";
      writer.add(frame);
      if (writer.bytes >= MESSAGE_TARGET_BYTES) break;
    }
    return this.#post(owed);
  }

  /** Whether the peer was not told of all that has arrived. */
  get owesAck(): boolean {
    return this.#link.owesAck;
  }

  /**
   * An ACK alone. It has no number and is not kept, so it may go though nothing else may: two ends that are both full would
   * else wait for each other's for good.
   */
  acknowledgeAlone(): void {
    this.#writer.add({ kind: "ack", received: this.#link.announce() });
    this.#transport?.send(this.#writer.take(this.#allocate));
  }

  /** Asks the peer for an ACK if it is time to, with a PING of `token`. */
  askIfDue(token: number): void {
    if (!this.#link.wantsAck) return;
    this.#link.asked();
    this.#writer.add({ kind: "ping", token });
    this.#post(false);
  }

  /** What was written goes out, and is kept. Returns its size. See `Link.keep` for `owed`. */
  #post(owed: boolean): number {
    const message = this.#writer.take(this.#allocate);
    this.#link.keep(message, owed);
    this.#transport?.send(message);
    return message.length;
  }

  /** A message was worked through; it counts if it held anything but an ACK. */
  worked(frames: readonly Frame[], bytes: number): void {
    const [only] = frames;
    if (frames.length === 1 && only?.kind === "ack") return;
    this.#link.receive(bytes);
  }
}

/** What a chunk may keep alive beside itself: small enough for a chunk on each stream, large enough to copy few. */
const SPARE_BYTES = 4096;

/**
 * The frames of a message. Data is a view into it, and copied only where a reader that stalls would keep more alive
 * than its own bytes: another stream's data, or a buffer much larger than what it is to hold.
 * @throws TunnelError that ends the session: the peer's fault.
 */
export function readFrames(message: Uint8Array): Frame[] {
  if (message.length > MAX_MESSAGE_BYTES) {
    throw new TunnelError("frame-too-large", `a message of ${message.length} bytes`);
  }
  // It would count as a message, and nobody sends one.
  if (message.length === 0) throw new TunnelError("protocol-error", "a message without a frame");
  const reader = new MessageReader(message);
  const frames: Frame[] = [];
  let dataStream = 0;
  let dataBytes = 0;
  let shared = false;
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
    frames.push(frame);
    if (frame.kind !== "data") continue;
    dataBytes += frame.bytes.length;
    if (dataStream === 0) dataStream = frame.stream;
    else shared ||= frame.stream !== dataStream;
  }
  // The whole buffer counts: ws cuts small messages out of one read of its socket.
  const spareBytes = message.buffer.byteLength - dataBytes;
  if (dataBytes === 0 || (!shared && spareBytes <= dataBytes + SPARE_BYTES)) return frames;
  // Not slice(), which for a Buffer of Node's copies nothing.
  return frames.map((frame) =>
    frame.kind === "data" ? { ...frame, bytes: new Uint8Array(frame.bytes) } : frame,
  );
}
