import type { Exchange } from "../../codec/exchange.ts";
import { Listener } from "../../codec/listener.ts";
import { Session } from "../../codec/session.ts";
import type { Platform, Transport } from "../../codec/transport.ts";
/** How both runtimes wait for the next turn. */
export type Later = (act: () => void) => void;
/** A platform on real time. */
export declare function testPlatform(later: Later): Platform;
/** What an edge of the tests says of itself. */
export declare const testEdge: {
  maxStreams: number;
  credit: number;
  grace: number;
  software: string;
};
/** What an agent of the tests says of itself. */
export declare const testAgent: {
  maxStreams: number;
  credit: number;
  grace: number;
  software: string;
};
/** A listener whose sessions are plain ones. `greeted` is called for each HELLO. */
export declare function testListener<T extends Transport>(
  platform: Platform,
  greeted: (session: Session) => void,
): Listener<T>;
export interface Joined {
  readonly edge: Session;
  readonly agent: Session;
}
/** Two greeted sessions; `accept` serves what the edge's opens. */
export declare function join(accept: (exchange: Exchange) => void, later: Later): Promise<Joined>;
