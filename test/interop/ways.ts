/**
 * One origin and the three ways to it: directly, below a prefix of the edge, and by a host name of its own. What others
 * wrote must find the same thing at the end of each.
 *
 * Edge and agent run as processes, as users start them.
 */
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Program } from "../support/program.ts";
import { Edge } from "../support/tunnel.ts";

const SERVICE = "api";
const HOOK_MS = 90_000;

export interface Served {
  readonly port: number;
  stop(): Promise<void>;
}

export interface Ways {
  /** The origin's own URL, without a slash at the end. */
  readonly direct: string;
  /** `/send/<service>` of the edge. */
  readonly prefix: string;
  /** `<service>.localhost`. */
  readonly host: string;
}

export interface Tunnelled extends Ways {
  readonly edge: Edge;
  readonly agent: Program;
}

/** Call it once, at the top of a test file; the URLs are there once tests run. */
export function useWays(serve: () => Promise<Served>, flags: readonly string[] = []): Tunnelled {
  let served: Served | undefined;
  let edge: Edge | undefined;
  let agent: Program | undefined;
  beforeAll(async () => {
    served = await serve();
    edge = await Edge.start();
    agent = await edge.agent({ service: SERVICE, port: served.port, flags });
  }, HOOK_MS);
  afterAll(async () => {
    await edge?.stop();
    await served?.stop();
  }, HOOK_MS);
  const here = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error("the tunnel was not started yet");
    return part;
  };
  return {
    get direct() {
      return `http://127.0.0.1:${here(served).port}`;
    },
    get prefix() {
      return `${here(edge).url}/send/${SERVICE}`;
    },
    get host() {
      return `http://${SERVICE}.localhost:${here(edge).port}`;
    },
    get edge() {
      return here(edge);
    },
    get agent() {
      return here(agent);
    },
  };
}

/**
 * A test that does the same by all three ways. `expected` says what it comes to directly, so that two wrongs do not
 * agree; the other ways must come to exactly what the direct one did.
 */
export function agrees<T>(
  name: string,
  ways: Ways,
  run: (base: string) => Promise<T>,
  expected: (direct: T) => void,
): void {
  test(name, async () => {
    const direct = await run(ways.direct);
    expected(direct);
    expect(await run(ways.prefix), "below a prefix").toEqual(direct);
    expect(await run(ways.host), "by a host name").toEqual(direct);
  });
}

/** Listens on any port of this machine. */
export async function listen(server: Server): Promise<Served> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
