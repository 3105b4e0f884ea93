/**
 * An edge's listener and an agent's dialer joined without a socket: messages arrive a turn of the event loop later, as
 * sockets deliver them. For Node and for workerd alike.
 */
import { Dialer } from "../../codec/dialer.ts";
import type { Exchange } from "../../codec/exchange.ts";
import {
  EDGE_RETAIN_BYTES,
  GRACE_MS,
  MAX_STREAMS,
  REQUEST_CREDIT_BYTES,
} from "../../codec/limits.ts";
import { Listener } from "../../codec/listener.ts";
import { Session } from "../../codec/session.ts";
import type { Platform, Transport } from "../../codec/transport.ts";

/** How both runtimes wait for the next turn. */
export type Later = (act: () => void) => void;

/** A platform on real time. */
export function testPlatform(later: Later): Platform {
  return {
    now: () => performance.now(),
    schedule: (flush) => later(flush),
    after(ms, due) {
      const timer = setTimeout(due, ms);
      return () => clearTimeout(timer);
    },
    allocate: (bytes) => new Uint8Array(bytes),
    release() {},
  };
}

/** What an edge of the tests says of itself. */
export const testEdge = { maxStreams: 0, credit: 0, grace: GRACE_MS, software: "test-edge" };
/** What an agent of the tests says of itself. */
export const testAgent = {
  maxStreams: MAX_STREAMS,
  credit: REQUEST_CREDIT_BYTES,
  grace: 0,
  software: "test-agent",
};

/** A listener whose sessions are plain ones, `<name>-1` and so on. `greeted` is called for each HELLO. */
export function testListener<T extends Transport>(
  platform: Platform,
  greeted: (session: Session) => void,
  name = "session",
): Listener<T> {
  let ids = 0;
  return new Listener<T>({
    platform,
    graceMs: GRACE_MS,
    newSession: (_identity, ended) =>
      new Session(platform, {
        id: `${name}-${++ids}`,
        introduction: testEdge,
        retainBytes: EDGE_RETAIN_BYTES,
        ended,
      }),
    greeted: ({ session }) => greeted(session),
    left() {},
  });
}

export interface Joined {
  readonly edge: Session;
  readonly agent: Session;
}

/** Two greeted sessions; `accept` serves what the edge's opens. */
export async function join(accept: (exchange: Exchange) => void, later: Later): Promise<Joined> {
  const platform = testPlatform(later);
  const { promise, resolve } = Promise.withResolvers<Session>();
  const listener = testListener<Transport>(platform, resolve);
  const dialer = new Dialer({
    platform,
    introduction: testAgent,
    accept,
    connected() {},
    draining() {},
  });
  const toAgent: Transport = {
    full: false,
    send: (message) => later(() => dialer.receive(toEdge, message)),
    close: (code, reason) => later(() => dialer.lost(toEdge, code, reason)),
  };
  const toEdge: Transport = {
    full: false,
    send: (message) => later(() => listener.receive(toAgent, message)),
    close: (code, reason) => later(() => listener.lost(toAgent, code, reason)),
  };
  listener.accept(toAgent, "agent");
  dialer.open(toEdge);
  const edge = await promise;
  while (dialer.session === undefined) await new Promise<void>((resolve) => later(() => resolve()));
  return { edge, agent: dialer.session };
}
