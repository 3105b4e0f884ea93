/** One exchange: overview, headers, bodies, stream and replay. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Detail, Field, Row } from "../api.ts";
import { BodyView } from "./body-view.tsx";
import { KindTag, StatusMark } from "./exchange-list.tsx";
import { showBytes, showMs, showTime } from "./format.ts";
import { useLoaded, useSeconds, useTick } from "./hooks.ts";
import { replay, ReplayTab } from "./replay-tab.tsx";
import type { Heard } from "./known.ts";
import { ask, getJson, msOf } from "./store.ts";
import { StreamTab } from "./stream-tab.tsx";
import { TimingBar } from "./timing-bar.tsx";

const tabs = ["Overview", "Headers", "Body", "Stream", "Replay"] as const;
export type Tab = (typeof tabs)[number];

interface ExchangeDetailProps {
  readonly heard: Heard;
  readonly tab: Tab;
  readonly setTab: (tab: Tab) => void;
  readonly close: () => void;
  readonly select: (id: number) => void;
}

export function ExchangeDetail({ heard, tab, setTab, close, select }: ExchangeDetailProps) {
  const { row } = heard;
  const open = row.phase !== "over";
  const [reveal, setReveal] = useState(false);
  const [said, say] = useState("");
  useTick(250, open);
  useEffect(() => {
    setReveal(false);
    say("");
  }, [row.id]);
  // Bodies grow while it is open: what was kept is asked for again, but not at each chunk.
  const grown = Math.min(row.bytesIn, 65_536) + Math.min(row.bytesOut, 65_536);
  const held = useSeconds(row.stalled);
  const loaded = useLoaded(
    () => getJson<Detail>(`/api/exchanges/${row.id}${reveal ? "?reveal=1" : ""}`),
    `${row.id} ${reveal}`,
    [row.phase, row.stalled, grown, held],
  );
  const detail = loaded.value?.row.id === row.id ? loaded.value : undefined;
  const panel = useRef<HTMLDivElement>(null);

  const again = (): void => {
    replay(row.id).then(select, (error: unknown) => {
      say(error instanceof Error ? error.message : String(error));
    });
  };
  const copy = (): void => {
    ask(`/api/exchanges/${row.id}/curl${reveal ? "?reveal=1" : ""}`)
      .then(async (response) => navigator.clipboard.writeText(await response.text()))
      .then(
        () =>
          say(
            reveal
              ? "Copied, with its secrets."
              : "Copied; secrets are left out (reveal them first to copy them).",
          ),
        (error: unknown) => say(error instanceof Error ? error.message : String(error)),
      );
  };
  return (
    <article class="detail" aria-label={`${row.method} ${row.path}`}>
      <header class="what">
        <button type="button" class="back" onClick={close} aria-label="Close" title="Close (Esc)">
          ✕
        </button>
        <StatusMark row={row} />
        <h2 title={row.path}>
          <span class="method">{row.method}</span> {row.path}
        </h2>
        <KindTag row={row} />
      </header>
      <div class="actions">
        <button
          type="button"
          disabled={detail === undefined || detail.noReplay !== ""}
          title={detail?.noReplay === "" ? "Send it to the origin again (r)" : detail?.noReplay}
          onClick={again}
        >
          Replay
        </button>
        <button type="button" disabled={row.kind === "socket"} onClick={copy}>
          Copy as cURL
        </button>
        <a class="button" href={`/api/har?id=${row.id}${reveal ? "&reveal=1" : ""}`} download>
          HAR
        </a>
        {open && row.replayOf > 0 && (
          <button
            type="button"
            onClick={() => void ask(`/api/exchanges/${row.id}/stop`, { method: "POST" })}
          >
            Stop
          </button>
        )}
        <span class="about" role="status">
          {said}
        </span>
      </div>
      <Tabs tab={tab} choose={setTab} row={row} />
      <div
        class={`panel ${tab.toLowerCase()}`}
        role="tabpanel"
        id="panel"
        aria-labelledby={`tab-${tab}`}
        ref={panel}
        tabIndex={0}
      >
        {loaded.fault !== "" && <p class="fault">{loaded.fault}</p>}
        {detail !== undefined && (
          <>
            {tab === "Overview" && <Overview detail={detail} heard={heard} select={select} />}
            {tab === "Headers" && (
              <Headers detail={detail} reveal={reveal} show={() => setReveal(!reveal)} />
            )}
            {tab === "Body" && (
              <>
                <BodyView
                  id={row.id}
                  part="request-body"
                  info={detail.request.body}
                  title="Request"
                />
                {detail.response !== null && (
                  <BodyView
                    id={row.id}
                    part="response-body"
                    info={detail.response.body}
                    title="Response"
                  />
                )}
              </>
            )}
            {tab === "Stream" && <StreamTab key={row.id} row={row} close={detail.close} />}
            {tab === "Replay" && <ReplayTab key={detail.row.id} detail={detail} select={select} />}
          </>
        )}
      </div>
    </article>
  );
}

interface TabsProps {
  readonly tab: Tab;
  readonly choose: (tab: Tab) => void;
  readonly row: Row;
}

function Tabs({ tab, choose, row }: TabsProps) {
  const step = (by: number): void => {
    const next = tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length] ?? "Overview";
    choose(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div
      class="tabs"
      role="tablist"
      aria-label="About this exchange"
      onKeyDown={({ key }) => {
        if (key === "ArrowRight") step(1);
        else if (key === "ArrowLeft") step(-1);
      }}
    >
      {tabs.map((each) => (
        <button
          key={each}
          type="button"
          role="tab"
          id={`tab-${each}`}
          aria-selected={tab === each}
          aria-controls="panel"
          tabIndex={tab === each ? 0 : -1}
          onClick={() => choose(each)}
        >
          {each}
          {each === "Stream" && row.phase !== "over" && row.status > 0 && (
            <span class="live" role="img" aria-label="live" />
          )}
        </button>
      ))}
    </div>
  );
}

interface OverviewProps {
  readonly detail: Detail;
  readonly heard: Heard;
  readonly select: (id: number) => void;
}

function Overview({ detail, heard, select }: OverviewProps) {
  const { row, publicUrl, origin, timing, close, replays, response } = detail;
  const now = heard.row;
  return (
    <>
      {row.says !== "" && <p class="fault">{sentence(row.says)}</p>}
      <TimingBar timing={timing} nowMs={msOf(heard)} />
      <dl class="facts">
        <Fact name="URL">
          <code>{publicUrl}</code>
        </Fact>
        <Fact name="Origin">{origin}</Fact>
        <Fact name="Status">
          {response === null
            ? row.status === 0
              ? "no answer yet"
              : `${row.status}, by the tunnel`
            : `${response.status} ${response.reason}`}
        </Fact>
        {row.type !== "" && <Fact name="Type">{row.type}</Fact>}
        <Fact name="Request body">{showBytes(now.bytesIn)}</Fact>
        <Fact name="Response body">
          {showBytes(now.bytesOut)}
          {timing.firstSent !== null && now.bytesOut > 100_000 && (
            <span class="dim">
              {" "}
              at {rate(now.bytesOut, (timing.lastSent ?? 0) - timing.firstSent)}
            </span>
          )}
        </Fact>
        <Fact name="Began">
          {showTime(row.at)} <span class="dim">as number {row.id}</span>
        </Fact>
        <Fact name="Request id">
          <code>{detail.requestId}</code>
        </Fact>
        {close !== null && (
          <Fact name="Closed">
            by the {close.by} with {close.code}
            {close.reason === "" ? "" : ` (${close.reason})`}
          </Fact>
        )}
        {row.replayOf > 0 && (
          <Fact name="Replay of">
            <button type="button" class="link" onClick={() => select(row.replayOf)}>
              {row.replayOf}
            </button>
          </Fact>
        )}
        {replays.length > 0 && (
          <Fact name="Replayed as">
            {replays.map((id) => (
              <button key={id} type="button" class="link" onClick={() => select(id)}>
                {id}
              </button>
            ))}
          </Fact>
        )}
      </dl>
      {detail.dropped && (
        <p class="note">Memory ran short: its bodies and its stream were dropped.</p>
      )}
    </>
  );
}

function rate(bytes: number, ms: number): string {
  return ms < 1 ? "once" : `${showBytes((bytes / ms) * 1000)}/s over ${showMs(ms)}`;
}

function sentence(says: string): string {
  return `${says.charAt(0).toUpperCase()}${says.slice(1)}.`;
}

function Fact({
  name,
  children,
}: {
  readonly name: string;
  readonly children: preact.ComponentChildren;
}) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

interface HeadersProps {
  readonly detail: Detail;
  readonly reveal: boolean;
  readonly show: () => void;
}

function Headers({ detail, reveal, show }: HeadersProps) {
  const { request, response, row } = detail;
  const secrets = [...request.fields, ...(response?.fields ?? [])].some(({ secret }) => secret);
  return (
    <>
      {secrets && (
        <p class="lead">
          <button type="button" aria-pressed={reveal} onClick={show}>
            {reveal ? "Hide secrets" : "Reveal secrets"}
          </button>
          <span class="about">Cookies, tokens and keys are hidden until you ask.</span>
        </p>
      )}
      <Fields title={`Request · ${row.method}`} fields={request.fields} />
      {response !== null && (
        <Fields
          title={`Response · ${response.status} ${response.reason}`}
          fields={response.fields}
        />
      )}
      {response !== null && response.trailers.length > 0 && (
        <Fields title="Trailers" fields={response.trailers} />
      )}
    </>
  );
}

function Fields({ title, fields }: { readonly title: string; readonly fields: readonly Field[] }) {
  return (
    <section class="fields" aria-label={title}>
      <h3>
        {title} <span class="count">{fields.length}</span>
      </h3>
      <table>
        <tbody>
          {fields.map(({ name, value, secret }, at) => (
            <tr key={at}>
              <th scope="row">{name}</th>
              <td class={secret ? "secret" : ""}>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
