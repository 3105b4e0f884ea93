/** How the tunnel is: connections, latencies, what is kept, and the configuration with where each value comes from. */
import { useEffect } from "preact/hooks";
import type { Connection, Percentiles, ServiceStatus, Status } from "../api.ts";
import { plural, showCount, showKiB, showMs, showTime } from "./format.ts";
import { useTick } from "./hooks.ts";
import type { Store } from "./store.ts";

export function StatusPage({ store }: { readonly store: Store }) {
  useTick(1000, true);
  useEffect(() => {
    void store.loadStatus();
    const timer = setInterval(() => void store.loadStatus(), 2000);
    return () => clearInterval(timer);
  }, [store]);
  const { status } = store;
  if (status === undefined) return <p class="note">…</p>;
  return (
    <main class="status-page">
      {status.services.map((service) => (
        <ServiceCard key={service.service} service={service} />
      ))}
      <section class="card">
        <h2>Requests</h2>
        <div class="numbers">
          <Figure name="seen" value={showCount(status.requests.seen)} />
          <Figure name="in flight" value={showCount(status.requests.open)} />
          <Figure name="held back" value={showCount(status.requests.stalled)} />
          <Figure name="failed" value={showCount(status.requests.failed)} />
        </div>
        <Latencies total={status.total} origin={status.origin} />
      </section>
      <Kept status={status} />
    </main>
  );
}

function ServiceCard({ service }: { readonly service: ServiceStatus }) {
  return (
    <section class="card">
      <h2>{service.service}</h2>
      <dl class="facts">
        <div>
          <dt>Public</dt>
          <dd>
            <a href={service.publicUrl} target="_blank" rel="noreferrer">
              {service.publicUrl}
            </a>
          </dd>
        </div>
        <div>
          <dt>Origin</dt>
          <dd>
            {service.origin}
            <span class="dim"> · up to {service.concurrency} requests at once</span>
          </dd>
        </div>
      </dl>
      <div class="sideways">
        <table class="grid">
          <thead>
            <tr>
              <th scope="col">Connection</th>
              <th scope="col">State</th>
              <th scope="col">Round trip</th>
              <th scope="col">Since</th>
              <th scope="col">Reconnects</th>
              <th scope="col" class="session">
                Session
              </th>
            </tr>
          </thead>
          <tbody>
            {service.connections.map((connection) => (
              <ConnectionRow key={connection.shard} connection={connection} />
            ))}
          </tbody>
        </table>
      </div>
      {service.settings.length > 0 && (
        <>
          <h3>Configuration</h3>
          <div class="sideways">
            <table class="grid">
              <thead>
                <tr>
                  <th scope="col">Setting</th>
                  <th scope="col">Value</th>
                  <th scope="col">From</th>
                </tr>
              </thead>
              <tbody>
                {service.settings.map(({ name, value, from }) => (
                  <tr key={name}>
                    <th scope="row">{name}</th>
                    <td class="wraps">{value}</td>
                    <td class="dim">{from}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
    </section>
  );
}

function ConnectionRow({ connection }: { readonly connection: Connection }) {
  const { shard, state, rttMs, measured, since, reconnects, resumed, session, says } = connection;
  const went = reconnects === 0 ? "none" : `${reconnects}, ${resumed} with all that was in flight`;
  return (
    <tr>
      <th scope="row">{shard === 0 ? "first" : `shard ${shard}`}</th>
      <td>
        <span class={`state ${state}`}>{state}</span>
        {says !== "" && <span class="dim"> {says}</span>}
      </td>
      <td>
        {state === "connected" ? (
          <>
            {showMs(rttMs)}
            <br />
            <span class="dim">{showMs(Math.max(0, Date.now() - measured))} ago</span>
          </>
        ) : (
          "–"
        )}
      </td>
      <td>
        {showTime(since)} <span class="dim">({showMs(Math.max(0, Date.now() - since))})</span>
      </td>
      <td>{went}</td>
      <td class="mono dim session">{session.slice(0, 12)}</td>
    </tr>
  );
}

function Latencies({
  total,
  origin,
}: {
  readonly total: Percentiles;
  readonly origin: Percentiles;
}) {
  return (
    <div class="sideways">
      <table class="grid">
        <thead>
          <tr>
            <th scope="col">Latency</th>
            <th scope="col">p50</th>
            <th scope="col">p90</th>
            <th scope="col">p99</th>
            <th scope="col">most</th>
          </tr>
        </thead>
        <tbody>
          {(
            [
              ["in the agent, in all", total],
              ["of it the origin, to its head", origin],
            ] as const
          ).map(([name, { count, p50, p90, p99, max }]) => (
            <tr key={name}>
              <th scope="row" class="wraps">
                {name} <span class="dim">({plural(count, "request")})</span>
              </th>
              {[p50, p90, p99, max].map((ms, at) => (
                <td key={at}>{count === 0 ? "–" : showMs(ms)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Kept({ status }: { readonly status: Status }) {
  const { kept, windows } = status;
  return (
    <section class="card">
      <h2>Inspector</h2>
      <p>
        Keeps {plural(kept.exchanges, "exchange")} of at most {showCount(kept.mostExchanges)} in{" "}
        {showKiB(kept.bytes)} of at most {showKiB(kept.mostBytes)}; of each body the first{" "}
        {showKiB(kept.mostBodyBytes)}.
      </p>
      <p>
        A window begins at {showKiB(windows.initial)} and grows to {showKiB(windows.most)} with the
        path; a request's body begins with {showKiB(windows.request)}.
      </p>
      <p class="dim">
        Sluice {status.version}, protocol {status.protocol}, Node {status.node}; since{" "}
        {showTime(status.since)}.
      </p>
    </section>
  );
}

function Figure({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div class="figure">
      <b>{value}</b>
      <span>{name}</span>
    </div>
  );
}
