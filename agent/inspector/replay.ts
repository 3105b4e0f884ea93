/** A request again, as it was or with changes; to the origin, and only if all of it is known. */
import type { RequestHead } from "../../codec/frame.ts";
import * as v from "valibot";
import { type Edits, MASK } from "./api.ts";
import type { Recording } from "./recording.ts";

/** The field that tells the origin which exchange is repeated. Visitors' requests cannot have it. */
export const REPLAY_FIELD = "sluice-replay-of";

/** What the API takes. */
export const editsSchema = v.strictObject({
  method: v.optional(v.string()),
  path: v.optional(v.string()),
  fields: v.optional(v.array(v.tuple([v.string(), v.string()]))),
  body: v.optional(v.string()),
});

/** A request that can be sent, or in words why it cannot. */
export type Repeated =
  | { readonly head: RequestHead; readonly body: Uint8Array }
  | { readonly refusal: string };

/** Why a request cannot be repeated without a new body; "" when it can. */
export function whyNoReplay(recording: Recording): string {
  const { request, requestBody } = recording;
  if (request.length === "socket") return "a WebSocket is a conversation: it cannot be repeated";
  if (recording.dropped) return "memory ran short, and its body was dropped";
  const { bytes, keptBytes } = requestBody;
  if (bytes > keptBytes) {
    return `only ${keptBytes} of the ${bytes} bytes of its body were kept`;
  }
  if (!recording.requestIsWhole) {
    return recording.outcome === undefined
      ? "its body is still on its way"
      : "its body was never complete";
  }
  return "";
}

/** Whether the head is legal is the session's to say. */
export function repeated(recording: Recording, edits: Edits): Repeated {
  const { request } = recording;
  const why = whyNoReplay(recording);
  if (why !== "" && (edits.body === undefined || request.length === "socket")) {
    return { refusal: why };
  }
  const body =
    edits.body === undefined ? recording.requestBody.read() : Buffer.from(edits.body, "utf8");
  const head: RequestHead = {
    method: edits.method ?? request.method,
    path: edits.path ?? request.path,
    headers: edits.fields === undefined ? request.headers : unmasked(edits.fields, request.headers),
    length: body.length === 0 && request.length === "none" ? "none" : body.length,
  };
  return { head, body };
}

/** Edited fields; where a secret was left as it is shown, the field of that name as it was sent. */
function unmasked(
  fields: readonly (readonly [string, string])[],
  sent: readonly string[],
): string[] {
  const left: [string, string][] = [];
  for (let i = 0; i + 1 < sent.length; i += 2) {
    left.push([(sent[i] as string).toLowerCase(), sent[i + 1] as string]);
  }
  return fields.flatMap(([name, value]) => {
    const at = left.findIndex(([known]) => known === name.toLowerCase());
    const original = at === -1 ? undefined : left.splice(at, 1)[0];
    return [name, value === MASK && original !== undefined ? original[1] : value];
  });
}
