/** A body as far as it was kept: laid out, as it came, or byte by byte. Never as a page. */
import { useState } from "preact/hooks";
import type { BodyInfo } from "../api.ts";
import { showBytes, showCount, showHex, showKiB } from "./format.ts";
import { useLoaded } from "./hooks.ts";
import { prettyJson } from "./json.ts";
import { ask } from "./store.ts";

type View = "pretty" | "raw" | "hex";

interface BodyViewProps {
  readonly id: number;
  readonly part: "request-body" | "response-body";
  readonly info: BodyInfo;
  readonly title: string;
}

/** Lines that are shown until somebody asks for all. */
const FIRST_LINES = 400;

export function BodyView({ id, part, info, title }: BodyViewProps) {
  const [chosen, choose] = useState<View | undefined>(undefined);
  const [all, setAll] = useState(false);
  const loaded = useLoaded(
    async () => {
      if (info.keptBytes === 0) return undefined;
      const response = await ask(`/api/exchanges/${id}/${part}?decoded=1`);
      const note = response.headers.get("sluice-inspector-note") ?? "";
      return { bytes: new Uint8Array(await response.arrayBuffer()), note };
    },
    `${id} ${part}`,
    [info.keptBytes],
  );
  const bytes = loaded.value?.bytes;
  const text = bytes === undefined ? undefined : textOf(bytes, !info.whole);
  const json = /[/+]json\b/.test(info.type) || (text !== undefined && /^\s*[[{]/.test(text));
  const view = chosen ?? (text === undefined ? "hex" : json ? "pretty" : "raw");
  return (
    <section class="body" aria-label={title}>
      <header>
        <h3>{title}</h3>
        <span class="about">{aboutOf(info)}</span>
        {info.keptBytes > 0 && (
          <>
            <span class="choice" role="group" aria-label="View">
              {(["pretty", "raw", "hex"] as const).map((each) => (
                <button
                  key={each}
                  type="button"
                  aria-pressed={view === each}
                  disabled={(each === "pretty" && !json) || (each !== "hex" && text === undefined)}
                  onClick={() => choose(each)}
                >
                  {each}
                </button>
              ))}
            </span>
            <a class="button" href={`/api/exchanges/${id}/${part}`} download>
              Download
            </a>
          </>
        )}
      </header>
      {loaded.fault !== "" && <p class="fault">{loaded.fault}</p>}
      {loaded.value?.note !== undefined && loaded.value.note !== "" && (
        <p class="note">{loaded.value.note}</p>
      )}
      {bytes !== undefined &&
        (view === "hex" ? (
          <Long
            text={showHex(bytes, all ? Infinity : FIRST_LINES)}
            cut={!all && bytes.length > FIRST_LINES * 16}
            more={() => setAll(true)}
          />
        ) : view === "pretty" && text !== undefined ? (
          <PrettyJson text={text} whole={info.whole} all={all} more={() => setAll(true)} />
        ) : (
          <RawText text={text ?? ""} all={all} more={() => setAll(true)} />
        ))}
      {info.keptBytes > 0 && info.bytes > info.keptBytes && (
        <p class="note">
          Captured {showKiB(info.keptBytes)} of {showCount(info.bytes)} bytes: the beginning is all
          that is kept.
        </p>
      )}
    </section>
  );
}

function aboutOf({ bytes, keptBytes, type, encoding }: BodyInfo): string {
  if (bytes === 0) return "empty";
  const size =
    keptBytes < bytes
      ? `captured ${showKiB(keptBytes)} of ${showBytes(bytes)}`
      : `${showCount(bytes)} ${bytes === 1 ? "byte" : "bytes"}`;
  return [size, type, encoding].filter((part) => part !== "").join(" · ");
}

/** Undefined when it is no text. A cut one may end within a character. */
function textOf(bytes: Uint8Array, cut: boolean): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: cut });
    // oxlint-disable-next-line no-control-regex -- a text has none of these
    return /[\0-\x08\x0e-\x1a]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

interface PrettyJsonProps {
  readonly text: string;
  readonly whole: boolean;
  readonly all?: boolean;
  readonly more?: () => void;
}

export function PrettyJson({ text, whole, all = true, more }: PrettyJsonProps) {
  const { lines, fault } = prettyJson(text);
  const shown = all ? lines : lines.slice(0, FIRST_LINES);
  // What was cut short is no mistake of the sender's.
  const cut = fault !== undefined && fault.ends && !whole;
  return (
    <>
      {fault !== undefined && !cut && (
        <p class="fault">
          No valid JSON: line {fault.line}, column {fault.column}: {fault.says}.
        </p>
      )}
      <pre class="code" tabIndex={0}>
        {shown.map(({ indent, tokens }, at) => (
          <div key={at}>
            {"  ".repeat(indent)}
            {tokens.map((token, i) => (
              <span key={i} class={token.kind}>
                {token.text}
              </span>
            ))}
          </div>
        ))}
        {fault !== undefined && shown.length === lines.length && !cut && (
          <div>
            <span class="wrong">▲ {text.slice(fault.at, fault.at + 200) || "(it ends here)"}</span>
          </div>
        )}
        {cut && shown.length === lines.length && <div class="dim">…</div>}
      </pre>
      {shown.length < lines.length && (
        <button type="button" class="more" onClick={more}>
          Show all {showCount(lines.length)} lines
        </button>
      )}
    </>
  );
}

function RawText({
  text,
  all,
  more,
}: {
  readonly text: string;
  readonly all: boolean;
  readonly more: () => void;
}) {
  const lines = text.split("\n");
  const cut = !all && lines.length > FIRST_LINES;
  return <Long text={cut ? lines.slice(0, FIRST_LINES).join("\n") : text} cut={cut} more={more} />;
}

function Long({
  text,
  cut,
  more,
}: {
  readonly text: string;
  readonly cut: boolean;
  readonly more: () => void;
}) {
  return (
    <>
      <pre class="code" tabIndex={0}>
        {text}
      </pre>
      {cut && (
        <button type="button" class="more" onClick={more}>
          Show all
        </button>
      )}
    </>
  );
}
