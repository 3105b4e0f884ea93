/**
 * A visitor inside the agent: its requests take the way of all others from where the edge's come in, over a session of
 * the protocol whose two ends are both here. So what is replayed waits its turn, streams, is held back and is seen like
 * any other exchange, whatever the origin speaks.
 */
import { Dialer } from "../../codec/dialer.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { RequestHead } from "../../codec/frame.ts";
import { EDGE_RETAIN_BYTES, GRACE_MS, REQUEST_CREDIT_BYTES } from "../../codec/limits.ts";
import { Listener } from "../../codec/listener.ts";
import { Session } from "../../codec/session.ts";
import type { Platform, Transport } from "../../codec/transport.ts";
import { newPlatform } from "../connection/platform.ts";
import { SOFTWARE } from "../software.ts";

/** An exchange that was opened. */
export interface Sent {
  /** Ends it before its end. */
  readonly stop: () => void;
  /** It is over; never rejects. */
  readonly ended: Promise<void>;
}

/** More at once nobody asks for by hand, and visitors shall have places at the origin too (`--concurrency`). */
const MOST_STREAMS = 8;

export class LocalVisitor {
  readonly #edge: Promise<Session>;
  /** Who serves what is opened next, in order. */
  readonly #servers: ((exchange: Exchange) => void)[] = [];
  readonly #end: () => void;

  constructor() {
    // The two ends share the memory of messages: none is used twice.
    const platform: Platform = {
      ...newPlatform(),
      allocate: (bytes) => new Uint8Array(bytes),
      release() {},
    };
    const { promise, resolve } = Promise.withResolvers<Session>();
    this.#edge = promise;
    const listener = new Listener<Transport>({
      platform,
      graceMs: GRACE_MS,
      newSession: (_identity, ended) =>
        new Session(platform, {
          id: "replay",
          introduction: { maxStreams: 0, credit: 0, grace: GRACE_MS, software: SOFTWARE },
          retainBytes: EDGE_RETAIN_BYTES,
          ended,
        }),
      greeted: ({ session }) => resolve(session),
      left() {},
    });
    const dialer = new Dialer({
      platform,
      introduction: {
        maxStreams: MOST_STREAMS,
        credit: REQUEST_CREDIT_BYTES,
        grace: 0,
        software: SOFTWARE,
      },
      accept: (exchange) => this.#servers.shift()?.(exchange),
      connected() {},
      draining() {},
    });
    const toAgent: Transport = {
      full: false,
      send: (message) => platform.schedule(() => dialer.receive(toEdge, message)),
      close() {},
    };
    const toEdge: Transport = {
      full: false,
      send: (message) => platform.schedule(() => listener.receive(toAgent, message)),
      close() {},
    };
    this.#end = () => dialer.end("shutting-down", "");
    listener.accept(toAgent, "replay");
    dialer.open(toEdge);
  }

  /**
   * Opens an exchange, which `serve` gets the other end of, and reads the answer to its end for nobody.
   * @throws TunnelError when the head is illegal
   */
  async send(
    head: RequestHead,
    body: Uint8Array,
    serve: (exchange: Exchange) => void,
  ): Promise<Sent> {
    const edge = await this.#edge;
    const { promise, resolve } = Promise.withResolvers<void>();
    const exchange = edge.open(head);
    const server = (other: Exchange): void => {
      serve(other);
      resolve();
    };
    this.#servers.push(server);
    exchange.onCancel = () => {
      // Refused before anybody saw it.
      const place = this.#servers.indexOf(server);
      if (place !== -1) this.#servers.splice(place, 1);
      resolve();
    };
    if (head.length !== "none") {
      if (body.length > 0) exchange.outgoing.write(body);
      exchange.outgoing.end();
    }
    const ended = drain(exchange);
    await promise;
    return { stop: () => exchange.cancel("cancelled"), ended };
  }

  close(): void {
    this.#end();
  }
}

async function drain(exchange: Exchange): Promise<void> {
  try {
    for await (const _chunk of exchange.incoming);
  } catch {
    // However it ended: who looks has seen it.
  }
}
