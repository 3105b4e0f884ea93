/** The inspector's page: a list that lives, what is looked at beside it, and the status of the tunnel. */
import { render } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { ExchangeDetail, type Tab } from "./exchange-detail.tsx";
import { ExchangeList } from "./exchange-list.tsx";
import { parseFilter } from "./filter.ts";
import { plural, showCount, showMs } from "./format.ts";
import { replay } from "./replay-tab.tsx";
import { StatusPage } from "./status-page.tsx";
import type { Heard } from "./known.ts";
import { type Reach, Store } from "./store.ts";

const store = new Store();

function App() {
  const [version, count] = useState(0);
  const [page, setPage] = useState<"requests" | "status">("requests");
  const [filter, setFilter] = useState("");
  const [selected, setSelected] = useState<number | undefined>(undefined);
  const [tab, setTab] = useState<Tab>("Overview");
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const stop = store.listen(() => count((before) => before + 1));
    store.connect();
    return () => {
      stop();
      store.close();
    };
  }, []);
  const matches = useMemo(() => parseFilter(filter), [filter]);
  const shown = useMemo(
    () =>
      store.ids.flatMap((id): Heard[] => {
        const heard = store.rows.get(id);
        return heard !== undefined && matches(heard.row) ? [heard] : [];
      }),
    [version, matches],
  );
  const heard = useHeard(selected);

  /** To one that may be so new that nobody has told us of it. */
  const follow = async (id: number): Promise<void> => {
    if (!store.rows.has(id)) await store.resync();
    setSelected(id);
  };

  // Not after the next paint: two keys in one frame would both start from the same row.
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { target } = event;
      const typing = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
      if (event.key === "Escape") {
        if (typing) target.blur();
        else setSelected(undefined);
        return;
      }
      if (typing) return;
      const at = shown.findIndex(({ row }) => row.id === selected);
      const go = (to: number): void => {
        const next = shown[Math.max(0, Math.min(shown.length - 1, to))];
        if (next !== undefined) setSelected(next.row.id);
      };
      const keys: Readonly<Record<string, (() => void) | undefined>> = {
        j: () => go(at + 1),
        k: () => go(at === -1 ? 0 : at - 1),
        ArrowDown: () => go(at + 1),
        ArrowUp: () => go(at === -1 ? 0 : at - 1),
        Enter: () => document.getElementById("panel")?.focus(),
        "/": () => box.current?.focus(),
        p: () => store.pause(!store.paused),
        r: () => {
          if (selected !== undefined) void replay(selected).then(follow, () => {});
        },
      };
      const act = keys[event.key];
      const inList =
        target === document.body ||
        (target instanceof Element && target.closest(".list .scroll") !== null);
      // Elsewhere arrows and Enter mean what they always do.
      if (act === undefined || (event.key.length > 1 && !inList)) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [shown, selected]);

  const several = (store.status?.services.length ?? 0) > 1;
  return (
    <>
      <Top page={page} go={setPage} />
      {page === "status" ? (
        <StatusPage store={store} />
      ) : (
        <main class={`requests ${heard === undefined ? "" : "looking"}`}>
          <section class="list" aria-label="Requests" onPointerMove={() => store.aim()}>
            <div class="tools">
              <input
                ref={box}
                type="search"
                value={filter}
                placeholder="Filter: /path  status:>=400  is:stream"
                aria-label="Filter"
                title="Words in the path, status:404 status:5xx status:>=400, method:post, type:json, is:open is:stream is:error is:replay is:stalled; a minus in front turns one round"
                onInput={({ currentTarget }) => setFilter(currentTarget.value)}
              />
              <button
                type="button"
                aria-pressed={store.paused}
                title="New requests are kept, and shown when you go on (p)"
                onClick={() => store.pause(!store.paused)}
              >
                {store.paused ? "Go on" : "Pause"}
              </button>
              <button type="button" onClick={() => void store.clear()}>
                Clear
              </button>
              <a
                class="button"
                href="/api/har"
                download
                title="All that is kept, as an HTTP archive"
              >
                HAR
              </a>
            </div>
            {store.paused && <p class="banner">{pausedWords()}</p>}
            {shown.length === 0 ? (
              <Empty filtered={filter !== "" && store.ids.length > 0} />
            ) : (
              <ExchangeList
                shown={shown}
                selected={selected}
                several={several}
                select={setSelected}
              />
            )}
            <footer>
              {store.seen > shown.length
                ? `${showCount(shown.length)} of ${plural(store.seen, "request")}`
                : `${plural(shown.length, "request")} shown`}
              <span class="keys" aria-hidden="true">
                <kbd>j</kbd>
                <kbd>k</kbd> move <kbd>/</kbd> filter <kbd>r</kbd> replay <kbd>p</kbd> pause{" "}
                <kbd>esc</kbd> close
              </span>
            </footer>
          </section>
          {heard !== undefined && (
            <ExchangeDetail
              heard={heard}
              tab={tab}
              setTab={setTab}
              close={() => setSelected(undefined)}
              select={(id) => void follow(id)}
            />
          )}
        </main>
      )}
    </>
  );
}

/** What is looked at: it stays when newer ones have taken its place, and goes when all was cleared. */
function useHeard(selected: number | undefined): Heard | undefined {
  const last = useRef<{ readonly heard: Heard; readonly clears: number } | undefined>(undefined);
  const { rows, clears } = store;
  const heard = selected === undefined ? undefined : rows.get(selected);
  if (heard !== undefined) last.current = { heard, clears };
  const gone = last.current;
  if (gone?.heard.row.id !== selected || gone?.heard.row.phase !== "over") return heard;
  return heard ?? (gone.clears === clears ? gone.heard : undefined);
}

function pausedWords(): string {
  const waiting = store.seen - store.seenBefore;
  return waiting > 0 ? `Paused: ${plural(waiting, "new request")}.` : "Paused.";
}

interface TopProps {
  readonly page: "requests" | "status";
  readonly go: (page: "requests" | "status") => void;
}

function Top({ page, go }: TopProps) {
  const { status, reach, open } = store;
  const [service] = status?.services ?? [];
  const several = (status?.services.length ?? 0) > 1;
  return (
    <header class="top">
      <img src="/icon.svg" alt="" width="24" height="24" />
      <b class="brand">Sluice</b>
      <nav aria-label="Pages">
        {(["requests", "status"] as const).map((each) => (
          <button
            key={each}
            type="button"
            aria-current={page === each ? "page" : undefined}
            onClick={() => go(each)}
          >
            {each === "requests" ? "Requests" : "Status"}
          </button>
        ))}
      </nav>
      <span class="route">
        {service !== undefined &&
          (several ? (
            plural(status?.services.length ?? 0, "service")
          ) : (
            <>
              <a href={service.publicUrl} target="_blank" rel="noreferrer">
                {service.publicUrl}
              </a>
              <span class="to" aria-label="to">
                →
              </span>
              {service.origin}
            </>
          ))}
      </span>
      <Link reach={reach} open={open} />
    </header>
  );
}

/** Whether the agent is there, and whether it is connected. */
function Link({ reach, open }: { readonly reach: Reach; readonly open: number }) {
  const connections = store.status?.services.flatMap(({ connections: all }) => all) ?? [];
  const down = connections.filter(({ state }) => state !== "connected").length;
  const rtt = connections.find(({ state }) => state === "connected")?.rttMs;
  const [tone, words] =
    reach === "over"
      ? ["lost", "the agent was started again: open the URL that it printed"]
      : reach === "lost"
        ? ["lost", "the agent does not answer"]
        : reach === "opening"
          ? ["connecting", "…"]
          : down > 0
            ? [
                "disconnected",
                down === connections.length ? "not connected" : `${down} not connected`,
              ]
            : ["connected", rtt === undefined ? "connected" : `connected · ${showMs(rtt)}`];
  return (
    <span class="reach" role="status">
      {open > 0 && <span class="open">{open} in flight</span>}
      <span class={`state ${tone}`}>{words}</span>
    </span>
  );
}

function Empty({ filtered }: { readonly filtered: boolean }) {
  const url = store.status?.services[0]?.publicUrl;
  return (
    <div class="empty">
      {filtered ? (
        <p>No request matches the filter.</p>
      ) : (
        <>
          <p>No request yet. They appear here as they come, and streams while they run.</p>
          {url !== undefined && <pre>curl {url}</pre>}
        </>
      )}
    </div>
  );
}

render(<App />, document.body);
