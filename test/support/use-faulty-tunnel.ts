/** A tunnel for all tests of a file whose agent meets its edge through a relay that can fail in every way. */
import { afterAll, beforeAll, expect } from "vitest";
import { ACK_RIDES_BYTES, ACK_RIDES_MESSAGES } from "../../codec/limits.ts";
import { FaultRelay } from "./fault-relay.ts";
import type { Program } from "./program.ts";
import { type Place, Visitor } from "./raw-http.ts";
import { Traffic, TrafficOrigin } from "./traffic.ts";
import { Edge } from "./tunnel.ts";
import { poll } from "./until.ts";

const HOOK_MS = 90_000;
const SERVICE = "shop";

/** What `/status/<service>` says, as far as these tests look. */
export interface Status {
  readonly agents: readonly {
    readonly connected: boolean;
    readonly streams: number;
    readonly bufferedBytes: number;
    readonly retainedBytes: number;
  }[];
  readonly waiting: number;
  readonly promisedBytes: number;
  readonly retainedBytes: number;
}

export interface FaultyTunnel {
  readonly origin: TrafficOrigin;
  readonly edge: Edge;
  readonly relay: FaultRelay;
  readonly agent: Program;
  readonly traffic: Traffic;
  readonly place: Place;
  /** What the edge says of itself, as soon as `is` is true of it. */
  readonly status: (is: (status: Status) => boolean, what: string, ms?: number) => Promise<Status>;
}

/** ACKs ride on messages that go anyway, after so many bytes or messages: what is below that stays until there is one. */
const RETAINED_WHEN_IDLE_BYTES = ACK_RIDES_BYTES + ACK_RIDES_MESSAGES * 1024;

/** Nothing is open, waits, or is held for anybody. */
export function isIdle({ agents, waiting, promisedBytes, retainedBytes }: Status): boolean {
  return (
    waiting + promisedBytes === 0 &&
    retainedBytes <= RETAINED_WHEN_IDLE_BYTES &&
    agents.every(({ streams, bufferedBytes }) => streams + bufferedBytes === 0)
  );
}

/** The page of a service. */
export async function statusOf(edge: Edge, service: string, token: string): Promise<Status> {
  const { status, body } = await Visitor.ask(edge.self, {
    target: `/status/${service}`,
    fields: [["Authorization", `Bearer ${token}`]],
  });
  if (status !== 200) throw new Error(`the status page answered ${status}`);
  return JSON.parse(body.toString()) as Status;
}

/** Call it once, at the top of a test file; the parts are there once tests run. */
export function useFaultyTunnel(
  options: { readonly edge?: readonly string[]; readonly agent?: readonly string[] } = {},
): FaultyTunnel {
  let parts: FaultyTunnel | undefined;

  beforeAll(async () => {
    const origin = await TrafficOrigin.start();
    const edge = await Edge.start(options.edge);
    const relay = await FaultRelay.start(edge.port);
    const token = await edge.token({ service: SERVICE });
    const agent = await edge.agent({
      service: SERVICE,
      port: origin.port,
      token,
      url: relay.url,
      ...(options.agent === undefined ? {} : { flags: options.agent }),
    });
    const place = edge.place(SERVICE);
    const status = async (
      is: (status: Status) => boolean,
      what: string,
      ms?: number,
    ): Promise<Status> =>
      poll(
        async () => {
          const told = await statusOf(edge, SERVICE, token);
          return is(told) && told;
        },
        what,
        ms,
        50,
      );
    parts = { origin, edge, relay, agent, place, status, traffic: new Traffic(place) };
  }, HOOK_MS);

  afterAll(async () => {
    parts?.traffic.stop();
    await parts?.edge.stop();
    await parts?.relay.stop();
    await parts?.origin.stop();
    expect(parts?.origin.doubled).toEqual([]);
  }, HOOK_MS);

  const here = (): FaultyTunnel => {
    if (parts === undefined) throw new Error("the tunnel was not started yet");
    return parts;
  };
  return {
    get origin() {
      return here().origin;
    },
    get edge() {
      return here().edge;
    },
    get relay() {
      return here().relay;
    },
    get agent() {
      return here().agent;
    },
    get traffic() {
      return here().traffic;
    },
    get place() {
      return here().place;
    },
    get status() {
      return here().status;
    },
  };
}
