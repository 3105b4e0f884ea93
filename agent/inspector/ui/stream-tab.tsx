/** What passes in an exchange while it passes: events, lines or messages, and every chunk with its time and gap. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Chunk, Close, Message, Row, Stream } from "../api.ts";
import { PrettyJson } from "./body-view.tsx";
import { FlowChart } from "./flow-chart.tsx";
import { plural, showBytes, showCount, showKiB, showMs } from "./format.ts";
import { useSeconds } from "./hooks.ts";
import { getJson } from "./store.ts";
import { VirtualList } from "./virtual-list.tsx";

const ROW_HEIGHT = 28;

/** As the agent keeps them. */
const MOST = 1300;

interface Passed {
  readonly stream: Stream | undefined;
  readonly chunks: readonly Chunk[];
  readonly messages: readonly Message[];
  readonly fault: string;
}

const nothing: Passed = { stream: undefined, chunks: [], messages: [], fault: "" };

/** What has passed, and what passes while it is shown: asks for what is new whenever the row changes. */
function usePassed(row: Row): Passed {
  const [passed, setPassed] = useState<Passed>(nothing);
  const latest = useRef<Passed>(nothing);
  const asking = useRef(false);
  const again = useRef(false);
  // Time passes also when no byte does.
  const second = useSeconds(row.phase !== "over");
  useEffect(() => {
    const load = async (): Promise<void> => {
      if (asking.current) {
        again.current = true;
        return;
      }
      asking.current = true;
      again.current = false;
      const { chunks, messages } = latest.current;
      const chunksFrom = (chunks.at(-1)?.n ?? -1) + 1;
      const messagesFrom = (messages.at(-1)?.n ?? -1) + 1;
      const path = `/api/exchanges/${row.id}/stream?chunks=${chunksFrom}&messages=${messagesFrom}`;
      try {
        const stream = await getJson<Stream>(path);
        latest.current = {
          stream,
          chunks: joined(latest.current.chunks, stream.chunks),
          messages: joined(latest.current.messages, stream.messages),
          fault: "",
        };
      } catch (error) {
        const fault = error instanceof Error ? error.message : String(error);
        latest.current = { ...latest.current, fault };
      }
      setPassed(latest.current);
      asking.current = false;
      if (again.current) await load();
    };
    void load();
  }, [row.bytesIn, row.bytesOut, row.phase, row.stalled, second]);
  return passed;
}

/** The first hundreds and the latest: the middle goes. */
function joined<T>(had: readonly T[], more: readonly T[]): readonly T[] {
  const all = more.length === 0 ? had : [...had, ...more];
  return all.length <= MOST ? all : [...all.slice(0, 200), ...all.slice(200 - MOST)];
}

/** Give it a `key` of the exchange: what has passed belongs to one. */
export function StreamTab({ row, close }: { readonly row: Row; readonly close: Close | null }) {
  const { stream, chunks, messages, fault } = usePassed(row);
  const meaning = row.kind !== "body";
  const [chosen, choose] = useState<"messages" | "chunks" | undefined>(undefined);
  const [at, setAt] = useState<number | undefined>(undefined);
  if (fault !== "") return <p class="fault">{fault}</p>;
  if (stream === undefined) return <p class="note">…</p>;
  const view = chosen ?? (meaning && stream.messageCount > 0 ? "messages" : "chunks");
  const opened = messages.find(({ n }) => n === at);
  const name = { events: "Events", lines: "Lines", socket: "Messages", body: "" }[row.kind];
  return (
    <div class="stream">
      {stream.flow === null ? null : <FlowChart flow={stream.flow} />}
      <header>
        {meaning && (
          <span class="choice" role="group" aria-label="View">
            <button
              type="button"
              aria-pressed={view === "messages"}
              onClick={() => choose("messages")}
            >
              {name} <span class="count">{showCount(stream.messageCount)}</span>
            </button>
            <button type="button" aria-pressed={view === "chunks"} onClick={() => choose("chunks")}>
              Chunks <span class="count">{showCount(stream.chunkCount)}</span>
            </button>
          </span>
        )}
        {!meaning && <h3>{plural(stream.chunkCount, "chunk")}</h3>}
        <span class="about">
          {close !== null &&
            `Closed by the ${close.by} with ${close.code}${close.reason === "" ? "" : ` (${close.reason})`}`}
          {close === null && row.phase !== "over" && row.kind !== "body" && "open"}
          {row.stalled && " · the visitor reads slower than the origin sends"}
        </span>
      </header>
      {stream.note !== "" && <p class="note">{stream.note}</p>}
      {view === "chunks" ? (
        <Chunks chunks={chunks} count={stream.chunkCount} />
      ) : (
        <Messages messages={messages} at={at} open={(n) => setAt(n === at ? undefined : n)} />
      )}
      {view === "messages" && opened !== undefined && <Opened message={opened} />}
    </div>
  );
}

function Chunks({ chunks, count }: { readonly chunks: readonly Chunk[]; readonly count: number }) {
  if (count === 0) return <p class="note">No byte of a body has passed.</p>;
  return (
    <div class="table chunks">
      <div class="head" aria-hidden="true">
        <span />
        <span>at</span>
        <span>gap</span>
        <span>size</span>
        <span>window before</span>
      </div>
      <VirtualList
        count={chunks.length}
        rowHeight={ROW_HEIGHT}
        label="Chunks"
        grows="bottom"
        row={(index) => {
          const chunk = chunks[index];
          if (chunk === undefined) return null;
          const before = chunks[index - 1];
          const missing = before === undefined ? chunk.n : chunk.n - before.n - 1;
          return (
            <div
              class={`line ${chunk.direction}`}
              key={chunk.n}
              role="option"
              aria-selected={false}
            >
              <Arrow direction={chunk.direction} />
              <span>{showMs(chunk.at)}</span>
              <span class="gap">
                {missing > 0
                  ? `${showCount(missing)} not kept`
                  : before === undefined
                    ? ""
                    : `+${showMs(chunk.at - before.at)}`}
              </span>
              <span>{showKiB(chunk.bytes)}</span>
              <span
                class={chunk.direction === "out" && chunk.creditBytes < chunk.bytes ? "short" : ""}
              >
                {chunk.direction === "out" ? showKiB(chunk.creditBytes) : ""}
              </span>
            </div>
          );
        }}
      />
    </div>
  );
}

interface MessagesProps {
  readonly messages: readonly Message[];
  readonly at: number | undefined;
  readonly open: (n: number) => void;
}

function Messages({ messages, at, open }: MessagesProps) {
  if (messages.length === 0) return <p class="note">Nothing has come yet.</p>;
  return (
    <div class="table messages">
      <VirtualList
        count={messages.length}
        rowHeight={ROW_HEIGHT}
        label="Messages"
        grows="bottom"
        row={(index) => {
          const message = messages[index];
          if (message === undefined) return null;
          const before = messages[index - 1];
          const missing = before === undefined ? 0 : message.n - before.n - 1;
          return (
            <div
              class={`line ${message.direction} ${message.kind} ${message.n === at ? "selected" : ""}`}
              key={message.n}
              role="option"
              aria-selected={message.n === at}
              // A row that moves on while the button is down would get no click.
              onMouseDown={({ button }) => {
                if (button === 0) open(message.n);
              }}
              onClick={({ detail }) => {
                // Without a mouse.
                if (detail === 0) open(message.n);
              }}
            >
              <Arrow direction={message.direction} />
              <span class="when">{showMs(message.at)}</span>
              <span class="gap">
                {before !== undefined && `+${showMs(message.at - before.at)}`}
              </span>
              <span class="kind">{labelOf(message)}</span>
              <span class="text">
                {missing > 0 && <span class="missing">{showCount(missing)} not kept</span>}
                {message.text.slice(0, 300)}
              </span>
              <span class="bytes">{showBytes(message.bytes)}</span>
            </div>
          );
        }}
      />
    </div>
  );
}

function labelOf({ kind, label }: Message): string {
  if (kind === "event") return label ?? "";
  if (kind === "close") return `close ${label ?? ""}`;
  return kind === "line" || kind === "text" ? "" : kind;
}

function Opened({ message }: { readonly message: Message }) {
  const json = /^\s*[[{]/.test(message.text);
  return (
    <section class="opened" aria-label="Message">
      {json ? (
        <PrettyJson text={message.text} whole={!message.cut} />
      ) : (
        <pre class="code" tabIndex={0}>
          {message.text}
        </pre>
      )}
      {message.cut && <p class="note">Of its {showBytes(message.bytes)} the beginning was kept.</p>}
    </section>
  );
}

function Arrow({ direction }: { readonly direction: "in" | "out" }) {
  return (
    <span
      class={`arrow ${direction}`}
      role="img"
      aria-label={direction === "in" ? "to the origin" : "to the visitor"}
      title={direction === "in" ? "to the origin" : "to the visitor"}
    >
      {direction === "in" ? "→" : "←"}
    </span>
  );
}
