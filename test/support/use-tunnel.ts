/** One tunnel for all tests of a file: started before the first, ended after the last. */
import { afterAll, beforeAll } from "vitest";
import { Origin } from "./origin.ts";
import type { Program } from "./program.ts";
import type { Place } from "./raw-http.ts";
import { Edge } from "./tunnel.ts";

export const SERVICE = "shop";

const HOOK_MS = 90_000;

export interface Tunnel {
  readonly origin: Origin;
  readonly edge: Edge;
  readonly agent: Program;
  /** The origin as asked directly. */
  readonly direct: Place;
  /** The origin as asked through the tunnel. */
  readonly through: Place;
}

/** Call it once, at the top of a test file; the parts are there once tests run. */
export function useTunnel(
  options: { readonly edge?: readonly string[]; readonly agent?: readonly string[] } = {},
): Tunnel {
  let origin: Origin | undefined;
  let edge: Edge | undefined;
  let agent: Program | undefined;

  beforeAll(async () => {
    origin = await Origin.start();
    edge = await Edge.start(options.edge);
    agent = await edge.agent({
      service: SERVICE,
      port: origin.port,
      ...(options.agent === undefined ? {} : { flags: options.agent }),
    });
  }, HOOK_MS);

  afterAll(async () => {
    await edge?.stop();
    await origin?.stop();
  }, HOOK_MS);

  const here = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error("the tunnel was not started yet");
    return part;
  };
  return {
    get origin() {
      return here(origin);
    },
    get edge() {
      return here(edge);
    },
    get agent() {
      return here(agent);
    },
    get direct() {
      return here(origin).place;
    },
    get through() {
      return here(edge).place(SERVICE);
    },
  };
}
