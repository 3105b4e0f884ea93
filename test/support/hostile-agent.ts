/**
 * An agent with a valid token that sends whatever a test wants, legal or not, over a WebSocket of its own.
 *
 * It reads the edge's frames with the codec, but obeys nothing that they say.
 */
import { randomBytes } from "node:crypto";
import { WebSocket } from "ws";
import { errorCodeOf } from "../../codec/errors.ts";
import type { Frame, FrameKind } from "../../codec/frame.ts";
import { MAX_STREAMS, PROTOCOL, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import { MessageReader, MessageWriter } from "../../codec/wire.ts";
import type { Edge } from "./tunnel.ts";
import { SOON_MS, Watch, within } from "./until.ts";

/** The message that holds these frames. */
export function messageOf(...frames: readonly Frame[]): Uint8Array {
  const writer = new MessageWriter();
  for (const frame of frames) writer.add(frame);
  return writer.take((bytes) => new Uint8Array(bytes));
}

export const hello: Frame = {
  kind: "hello",
  session: "",
  received: 0,
  maxStreams: MAX_STREAMS,
  credit: REQUEST_CREDIT_BYTES,
  grace: 0,
  software: "hostile/1.0",
};

export class HostileAgent {
  /** Every frame of the edge so far. */
  readonly frames: Frame[] = [];
  readonly #ws: WebSocket;
  readonly #watch = new Watch();
  #close: { readonly code: number; readonly reason: string } | undefined;

  private constructor(ws: WebSocket) {
    this.#ws = ws;
    ws.on("message", (data: Buffer) => {
      const reader = new MessageReader(data);
      for (let frame = reader.next(); frame; frame = reader.next()) this.frames.push(frame);
      this.#watch.changed();
    });
    ws.on("close", (code, reason) => {
      this.#close = { code, reason: reason.toString() };
      this.#watch.changed();
    });
    // Writing to a socket that the edge has just closed fails; the close is what counts.
    ws.on("error", () => {});
  }

  static async connect(edge: Edge, service: string): Promise<HostileAgent> {
    const token = await edge.token({ service });
    return HostileAgent.connectWith(edge, service, token);
  }

  static async connectWith(edge: Edge, service: string, token: string): Promise<HostileAgent> {
    const url = `${edge.url.replace(/^http/, "ws")}/websocket/${service}`;
    const ws = new WebSocket(url, PROTOCOL, {
      perMessageDeflate: false,
      headers: {
        authorization: `Bearer ${token}`,
        "sluice-agent": randomBytes(16).toString("hex"),
      },
    });
    const agent = new HostileAgent(ws);
    const opened = new Promise<void>((resolve, reject) => {
      ws.once("open", () => resolve());
      ws.once("error", reject);
    });
    await within(opened, "the hostile agent's connection");
    return agent;
  }

  send(message: Uint8Array | string): void {
    this.#ws.send(message);
  }

  /** Exchanges HELLOs as an honest agent does. */
  async greet(): Promise<void> {
    this.send(messageOf(hello));
    await this.frame("hello");
  }

  /** The first frame of that kind (and stream) from the edge. */
  async frame<K extends FrameKind>(
    kind: K,
    matches: (frame: Frame & { kind: K }) => boolean = () => true,
    ms = SOON_MS,
  ): Promise<Frame & { kind: K }> {
    return this.#watch.until(
      () => {
        for (const frame of this.frames) {
          if (frame.kind === kind && matches(frame as Frame & { kind: K }))
            return frame as Frame & { kind: K };
        }
        if (this.#close !== undefined)
          throw new Error(`closed (${this.#close.code}) before ${kind}`);
        return undefined;
      },
      `a ${kind} frame from the edge`,
      ms,
    );
  }

  /** The error code of the table with which the edge has closed the connection. */
  async refused(ms = SOON_MS): Promise<string> {
    const { code } = await this.#watch.until(
      () => this.#close,
      "the edge closing the connection",
      ms,
    );
    return errorCodeOf(code - 4000) ?? String(code);
  }

  get closed(): boolean {
    return this.#close !== undefined;
  }

  /** Answered by the edge's platform once everything sent before was read. */
  async read(): Promise<void> {
    const ponged = new Promise<void>((resolve) => this.#ws.once("pong", () => resolve()));
    this.#ws.ping();
    await within(ponged, "a pong");
  }

  /** Reads nothing more of its socket. */
  stopReading(): void {
    this.#ws.pause();
  }

  leave(): void {
    this.#ws.terminate();
  }
}
