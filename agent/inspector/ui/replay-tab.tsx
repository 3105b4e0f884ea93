/** A request once more, as it was or changed, and what became of it beside the original. */
import { useState } from "preact/hooks";
import type { Detail, Edits } from "../api.ts";
import { showBytes, showMs } from "./format.ts";
import { useLoaded } from "./hooks.ts";
import { ask, getJson } from "./store.ts";

interface ReplayTabProps {
  readonly detail: Detail;
  readonly select: (id: number) => void;
}

/** @returns the id of the replay @throws Error in the API's words */
export async function replay(id: number, edits: Edits = {}): Promise<number> {
  const response = await ask(`/api/exchanges/${id}/replay`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(edits),
  });
  return ((await response.json()) as { readonly id: number }).id;
}

/** The body that was sent as it can be edited, and a word about it. */
interface SentBody {
  readonly text: string;
  readonly about: string;
}

function sentBody(bytes: ArrayBuffer): SentBody {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), about: "" };
  } catch {
    return { text: "", about: "(no text: it is sent as it was unless you write another)" };
  }
}

/** Give it a `key` of the exchange: what was edited belongs to one. */
export function ReplayTab({ detail, select }: ReplayTabProps) {
  const { row, request, noReplay } = detail;
  const [method, setMethod] = useState(row.method);
  const [path, setPath] = useState(row.path);
  const fieldsText = request.fields.map(({ name, value }) => `${name}: ${value}`).join("\n");
  const [fields, setFields] = useState(fieldsText);
  const sent = useLoaded(
    async (): Promise<SentBody> => {
      if (request.body.keptBytes === 0) return { text: "", about: "" };
      return sentBody(await (await ask(`/api/exchanges/${row.id}/request-body`)).arrayBuffer());
    },
    String(row.id),
    [request.body.keptBytes],
  );
  const loading = sent.value === undefined && sent.fault === "";
  const [body, setBody] = useState<string | undefined>(undefined);
  const [fault, setFault] = useState("");

  const send = (edits: Edits): void => {
    setFault("");
    replay(row.id, edits).then(select, (error: unknown) => {
      setFault(error instanceof Error ? error.message : String(error));
    });
  };
  const edits: Edits = {
    method,
    path,
    fields: parseFields(fields),
    ...(body === undefined ? {} : { body }),
  };
  const socket = row.kind === "socket" || noReplay.includes("WebSocket");
  return (
    <div class="replay">
      <Beside detail={detail} select={select} />
      <p class="lead">
        <button type="button" class="primary" disabled={noReplay !== ""} onClick={() => send({})}>
          Replay as it was
        </button>
        <span class="about">
          {noReplay === ""
            ? `to ${detail.origin}, marked sluice-replay-of: ${row.id}`
            : `Not possible: ${noReplay}.`}
        </span>
      </p>
      {fault !== "" && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      {!socket && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            send(edits);
          }}
        >
          <h3>Edit and replay</h3>
          <div class="target">
            <label>
              Method
              <input value={method} onInput={(event) => setMethod(event.currentTarget.value)} />
            </label>
            <label class="wide">
              Target
              <input value={path} onInput={(event) => setPath(event.currentTarget.value)} />
            </label>
          </div>
          <label>
            Headers, one a line; •••• stands for what was sent
            <textarea
              rows={Math.min(12, fields.split("\n").length + 1)}
              spellcheck={false}
              value={fields}
              onInput={(event) => setFields(event.currentTarget.value)}
            />
          </label>
          <label>
            Body
            <span class="about"> {loading ? "(loading)" : (sent.value?.about ?? sent.fault)}</span>
            {/* What was sent would arrive in the middle of what is being typed. */}
            <textarea
              rows={6}
              spellcheck={false}
              readOnly={loading}
              value={body ?? sent.value?.text ?? ""}
              onInput={(event) => setBody(event.currentTarget.value)}
            />
          </label>
          <button type="submit" class="primary" disabled={noReplay !== "" && body === undefined}>
            Send
          </button>
        </form>
      )}
    </div>
  );
}

/** The original and what repeats it, one a column. */
function Beside({ detail, select }: ReplayTabProps) {
  const { row, replays } = detail;
  const original = row.replayOf === 0 ? row.id : row.replayOf;
  const others = row.replayOf === 0 ? replays.slice(0, 3) : [row.id];
  const ids = [original, ...others];
  const loaded = useLoaded(
    async () => {
      if (others.length === 0) return [];
      return Promise.all(
        ids.map(async (id) => {
          const one = await getJson<Detail>(`/api/exchanges/${id}`).catch(() => undefined);
          if (one === undefined) return undefined;
          const kept = (one.response?.body.keptBytes ?? 0) > 0;
          const body = kept
            ? new Uint8Array(
                await (await ask(`/api/exchanges/${id}/response-body?decoded=1`)).arrayBuffer(),
              )
            : new Uint8Array(0);
          return { one, body };
        }),
      );
    },
    ids.join(),
    [row.phase, row.bytesOut],
  );
  const known = loaded.value?.filter((each) => each !== undefined) ?? [];
  if (known.length < 2) return null;
  const first = known[0];
  const lines: readonly (readonly [string, (at: (typeof known)[number]) => string])[] = [
    ["Status", ({ one }) => String(one.row.status || "···")],
    ["In all", ({ one }) => showMs(one.timing.ended ?? one.row.ms)],
    ["Head after", ({ one }) => (one.timing.answered === null ? "–" : showMs(one.timing.answered))],
    ["Body", ({ one }) => showBytes(one.row.bytesOut)],
    ["Same body", (each) => (each === first ? "–" : sameness(first?.body, each.body))],
  ];
  return (
    <table class="beside">
      <thead>
        <tr>
          <td />
          {known.map(({ one }) => (
            <th key={one.row.id} scope="col">
              <button type="button" class="link" onClick={() => select(one.row.id)}>
                {one.row.replayOf === 0 ? `original ${one.row.id}` : `replay ${one.row.id}`}
              </button>
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {lines.map(([name, show]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            {known.map((each) => (
              <td key={each.one.row.id}>{show(each)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function sameness(a: Uint8Array = new Uint8Array(0), b: Uint8Array): string {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return `differs from byte ${at} on`;
  return a.length === b.length ? "yes" : `the first ${length} bytes`;
}

function parseFields(text: string): [string, string][] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const colon = line.indexOf(":");
      return colon === -1
        ? [line.trim(), ""]
        : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    });
}
