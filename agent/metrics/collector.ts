/** All that this process measures, put together when somebody asks: the families of `/metrics`, and the answer of `/ready`. */
import { performance } from "node:perf_hooks";
import { PROTOCOL } from "../../codec/limits.ts";
import { VERSION } from "../software.ts";
import type { Family, Sample } from "./exposition.ts";
import { ServiceMetrics } from "./service-metrics.ts";

/** Whether requests find this process, and for which services. */
export interface Readiness {
  readonly ready: boolean;
  readonly services: readonly {
    readonly service: string;
    /** Whether it is connected and takes new requests. */
    readonly ready: boolean;
    readonly connected: boolean;
    /** That of its first object. */
    readonly session?: string;
  }[];
}

export class Collector {
  readonly #services = new Map<string, ServiceMetrics>();
  readonly #now: () => number;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** A place for one service. */
  seat(service: string): ServiceMetrics {
    const seat = new ServiceMetrics(service, this.#now);
    this.#services.set(service, seat);
    return seat;
  }

  readiness(): Readiness {
    const services = Array.from(this.#services.values(), (each) => {
      const session = each.connections.get(0)?.session;
      const state = { service: each.service, ready: each.ready, connected: session !== undefined };
      return session === undefined ? state : { ...state, session };
    });
    return { ready: services.length > 0 && services.every(({ ready }) => ready), services };
  }

  /** As of now. */
  families(): Family[] {
    const all = [...this.#services.values()];
    const each = (read: (of: ServiceMetrics) => number): Sample[] =>
      all.map((of) => ({ labels: { service: of.service }, value: read(of) }));
    return [
      {
        name: "sluice_build_info",
        help: "What runs: always 1.",
        type: "gauge",
        samples: [
          {
            labels: { version: VERSION, protocol: PROTOCOL, node: process.versions.node },
            value: 1,
          },
        ],
      },
      {
        name: "sluice_ready",
        help: "Whether the service is connected and takes new requests (1) or not (0).",
        type: "gauge",
        samples: each(({ ready }) => Number(ready)),
      },
      {
        name: "sluice_connected",
        help: "Whether there is a connection to the edge (1) or not (0), for each of the service's objects.",
        type: "gauge",
        samples: all.flatMap(({ service, connections }) =>
          Array.from(connections, ([shard, state]) => ({
            labels: { service, shard: String(shard) },
            value: state === undefined ? 0 : 1,
          })),
        ),
      },
      {
        name: "sluice_rtt_seconds",
        help: "Latest round trip to the edge: of a ping, every 20 s or every 5 s while requests are in flight; of the greeting before the first.",
        type: "gauge",
        samples: all.flatMap(({ service, connections }) =>
          Array.from(connections).flatMap(([shard, state]) =>
            state === undefined
              ? []
              : [{ labels: { service, shard: String(shard) }, value: state.rttMs / 1000 }],
          ),
        ),
      },
      {
        name: "sluice_reconnects_total",
        help: "Connections that were made after an earlier one to the same object.",
        type: "counter",
        samples: each(({ reconnects }) => reconnects),
      },
      {
        name: "sluice_resumed_total",
        help: "Reconnects over which what was in flight went on.",
        type: "counter",
        samples: each(({ resumed }) => resumed),
      },
      {
        name: "sluice_sessions_lost_total",
        help: "Reconnects that began a new session: the one before was over.",
        type: "counter",
        samples: each(({ sessionsLost }) => sessionsLost),
      },
      {
        name: "sluice_requests_total",
        help: "Requests that have ended, by the class of their status and by ok or the code of what ended them.",
        type: "counter",
        samples: all.flatMap(({ service, requests }) =>
          Array.from(requests, ({ method, status, outcome, count }) => ({
            labels: { service, method, status, outcome },
            value: count,
          })),
        ),
      },
      {
        name: "sluice_requests_in_flight",
        help: "Requests and WebSockets at the origin.",
        type: "gauge",
        samples: each(({ inFlight }) => inFlight),
      },
      {
        name: "sluice_requests_waiting",
        help: "Requests that wait for one of the --concurrency places.",
        type: "gauge",
        samples: each(({ waiting }) => waiting),
      },
      {
        name: "sluice_request_duration_seconds",
        help: "From a request's arrival at the agent to its end, WebSockets left out.",
        type: "histogram",
        samples: all.flatMap(({ service, durations }) => durations.samples({ service })),
      },
      {
        name: "sluice_origin_seconds",
        help: "From the agent's call to the head of the origin's answer.",
        type: "histogram",
        samples: all.flatMap(({ service, origin }) => origin.samples({ service })),
      },
      {
        name: "sluice_request_bytes_total",
        help: "Bytes of bodies that went to the origin, those of requests in flight among them.",
        type: "counter",
        samples: each(({ requestBytes }) => requestBytes),
      },
      {
        name: "sluice_response_bytes_total",
        help: "Bytes of bodies that came from the origin, those of requests in flight among them.",
        type: "counter",
        samples: each(({ responseBytes }) => responseBytes),
      },
      {
        name: "sluice_stalled_seconds_total",
        help: "Time in which answers waited for credit from slower readers, added up over requests.",
        type: "counter",
        samples: each(({ stalled }) => stalled.seconds),
      },
      ...processFamilies(),
    ];
  }
}

/** Under the names that Prometheus' own clients use, as far as there are any. */
function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage();
  const one = (value: number): Sample[] => [{ labels: {}, value }];
  return [
    {
      name: "process_cpu_seconds_total",
      help: "Time on the CPU, in user and in system mode.",
      type: "counter",
      samples: one((user + system) / 1e6),
    },
    {
      name: "process_resident_memory_bytes",
      help: "Memory of the process that is resident.",
      type: "gauge",
      samples: one(process.memoryUsage.rss()),
    },
    {
      name: "process_start_time_seconds",
      help: "When the process began, in seconds since 1970.",
      type: "gauge",
      samples: one(performance.timeOrigin / 1000),
    },
    {
      name: "nodejs_eventloop_active_seconds_total",
      help: "Time in which the event loop had something to do: at a rate of 1 everything waits for it.",
      type: "counter",
      samples: one(performance.eventLoopUtilization().active / 1000),
    },
  ];
}
