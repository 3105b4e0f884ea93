/** The list of exchanges, newest first; those under way count on. */
import type { Row } from "../api.ts";
import { showBytes, showMs, showTime } from "./format.ts";
import { useTick } from "./hooks.ts";
import type { Heard } from "./known.ts";
import { msOf } from "./store.ts";
import { VirtualList } from "./virtual-list.tsx";

export const ROW_HEIGHT = 34;

interface ExchangeListProps {
  readonly shown: readonly Heard[];
  readonly selected: number | undefined;
  readonly several: boolean;
  readonly select: (id: number) => void;
}

export function ExchangeList({ shown, selected, several, select }: ExchangeListProps) {
  useTick(
    250,
    shown.some(({ row }) => row.phase !== "over"),
  );
  const at = selected === undefined ? -1 : shown.findIndex(({ row }) => row.id === selected);
  return (
    <VirtualList
      count={shown.length}
      rowHeight={ROW_HEIGHT}
      label="Requests, newest first"
      grows="top"
      selected={at}
      {...(at === -1 ? {} : { activeId: `row-${selected}` })}
      row={(index) => {
        const heard = shown[index];
        return (
          heard && (
            <ExchangeRow
              key={heard.row.id}
              heard={heard}
              several={several}
              selected={heard.row.id === selected}
              select={select}
            />
          )
        );
      }}
    />
  );
}

interface ExchangeRowProps {
  readonly heard: Heard;
  readonly several: boolean;
  readonly selected: boolean;
  readonly select: (id: number) => void;
}

function ExchangeRow({ heard, several, selected, select }: ExchangeRowProps) {
  const { row } = heard;
  const open = row.phase !== "over";
  return (
    <div
      class={`row ${selected ? "selected" : ""}`}
      id={`row-${row.id}`}
      role="option"
      aria-selected={selected}
      onClick={() => select(row.id)}
      // A row that moves on while the button is down would get no click.
      onMouseDown={({ button }) => {
        if (button === 0) select(row.id);
      }}
    >
      <StatusMark row={row} />
      <span class="method">{row.method}</span>
      <span class="path" title={row.path}>
        {several && <span class="of">{row.service}</span>}
        {row.path}
        {row.says !== "" && <span class="says">{row.says}</span>}
      </span>
      <Tags row={row} />
      <span class="size" title={`${row.bytesIn} bytes in, ${row.bytesOut} bytes out`}>
        {row.bytesIn > 0 && <span class="up">↑ {showBytes(row.bytesIn)}</span>}
        {row.bytesIn > 0 && "↓ "}
        {showBytes(row.bytesOut)}
      </span>
      <span class={`ms ${open ? "running" : ""}`}>{showMs(msOf(heard))}</span>
      <span class="time">{showTime(row.at)}</span>
    </div>
  );
}

/** The status, or that there is none yet. */
export function StatusMark({ row }: { readonly row: Row }) {
  const open = row.phase !== "over";
  const text = row.status === 0 ? "···" : String(row.status);
  return (
    <span class={`status ${toneOf(row)}`} title={open ? openWords[row.phase] : row.says}>
      {open ? (
        <span class={`spinner ${row.stalled ? "held" : ""}`} role="img" aria-label="under way" />
      ) : (
        <span class="dot" aria-hidden="true" />
      )}
      {text}
    </span>
  );
}

const openWords: Readonly<Record<Row["phase"], string>> = {
  waiting: "waits for a free place at the origin",
  connecting: "connects to the origin",
  asked: "waits for the origin's answer",
  answering: "the answer is on its way",
  over: "",
};

export function toneOf({ phase, says, status, kind }: Row): string {
  if (says !== "" || status >= 500) return "bad";
  if (phase !== "over" && status === 0) return "none";
  if (status >= 400) return "warn";
  if (status >= 300) return "moved";
  return kind === "socket" ? "socket" : "good";
}

function Tags({ row }: { readonly row: Row }) {
  return (
    <span class="tags">
      {row.replayOf > 0 && <span class="tag replay">replay of {row.replayOf}</span>}
      {row.stalled && <span class="tag stalled">held back</span>}
      <KindTag row={row} />
    </span>
  );
}

export function KindTag({ row: { kind } }: { readonly row: Row }) {
  const words = { events: "events", lines: "lines", socket: "WebSocket", body: "" }[kind];
  return words === "" ? null : <span class={`tag ${kind}`}>{words}</span>;
}
