/**
 * What `agent doctor` measures a service's tunnel with: bytes of our own, through an object that no visitor's request
 * comes to, to an agent that has dialled just that object (`/websocket/<service>?shard=probe`).
 *
 * It takes no request from an agent that works and hands none to one: not even when nobody has dialled the object.
 */
import { TunnelError } from "../codec/errors.ts";
import { forward } from "./object.ts";

/** The most bytes of one measurement, each way. */
const MOST_BYTES = 8 * 1024 * 1024;

/** What is given at a time. Random, because something on the way might make zeros smaller. */
const chunk = { bytes: 64 * 1024, filled: undefined as Uint8Array | undefined };

/**
 * `/probe/<service>?bytes=<n>&to=<word>`: sends a request with a body of `n` bytes for the path `/<word>` to whoever has
 * dialled, reads the answer's body to its end and drops it, and says how many bytes that were.
 *
 * So bytes go one way at a time, and the line between here and the one who measures carries them once.
 * @throws TunnelError `bad-request`
 */
export function probe(
  request: Request,
  service: string,
  object: DurableObjectStub,
): Promise<Response> {
  const asked = new URL(request.url).searchParams;
  const bytes = Number(asked.get("bytes") ?? 0);
  const to = asked.get("to") ?? "";
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > MOST_BYTES || !/^[\w-]{0,64}$/.test(to)) {
    throw new TunnelError("bad-request", "probe");
  }
  const sent = bytes === 0 ? {} : { method: "POST", body: source(bytes) };
  const asking = new Request(`https://probe/send/${service}/${to}`, sent);
  return measured(forward(asking, object, service));
}

/** What came of it: the edge's own answers as they are. */
async function measured(answering: Promise<Response>): Promise<Response> {
  const answer = await answering;
  if (answer.headers.has("sluice-error")) return answer;
  let received = 0;
  let whole = true;
  try {
    for await (const part of answer.body ?? []) received += part.byteLength;
  } catch {
    whole = false;
  }
  const { status } = answer;
  const fields = { headers: { "cache-control": "no-store" } };
  return Response.json({ status, received, whole }, fields);
}

/** So many bytes, made as they are wanted. */
function source(bytes: number): ReadableStream<Uint8Array> {
  chunk.filled ??= crypto.getRandomValues(new Uint8Array(chunk.bytes));
  const { filled } = chunk;
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      const size = Math.min(left, filled.length);
      // A copy: what was given is not ours any more.
      controller.enqueue(filled.slice(0, size));
      left -= size;
      if (left === 0) controller.close();
    },
  });
}
