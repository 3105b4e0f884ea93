/**
 * The same request asked of the origin directly and through the tunnel, and what of the two may differ.
 *
 * The list of allowed differences is this file: whatever is not taken out here has to be equal.
 */
import type { Origin, Received } from "./origin.ts";
import { type Answer, type Field, type Place, type RequestParts, Visitor } from "./raw-http.ts";

/** Added by the tunnel on purpose. */
const added = new Set([
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-prefix",
  "sluice-request-id",
]);

/** Theirs of each connection (RFC 9110 section 7.6.1), told by `framing` instead, or another one at each asking. */
const ofTheConnection = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "content-length",
  "host",
  "date",
]);

/** Case and order of names are not kept by workerd; the order of equal names is. */
function comparable(fields: readonly Field[]): string[] {
  return fields
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !added.has(name) && !ofTheConnection.has(name))
    .map(([name, value], i) => ({ name, value, i }))
    .sort((a, b) => (a.name === b.name ? a.i - b.i : a.name < b.name ? -1 : 1))
    .map(({ name, value }) => `${name}: ${value}`);
}

function lengthOf(fields: readonly Field[]): string[] {
  return fields
    .filter(([name]) => name.toLowerCase() === "content-length")
    .map(([, value]) => value);
}

/** What has to be equal of an answer, as values that a test prints well. */
export function seen(answer: Answer): unknown {
  const { status, reason, fields, framing, body, ended } = answer;
  return {
    status,
    reason,
    fields: comparable(fields),
    framing,
    length: lengthOf(fields),
    body: body.toString("base64"),
    ended,
  };
}

/** What has to be equal of a request at the origin. */
export function arrived(received: Received, body: Buffer): unknown {
  const { method, target, fields, framing } = received;
  const length = lengthOf(fields);
  // "No body" and "a body of 0 bytes" say the same (RFC 9110 section 8.6); chunked would not.
  const empty = framing === "none" || (framing === "length" && length[0] === "0");
  return {
    method,
    target,
    fields: comparable(fields),
    framing: empty ? "empty" : framing,
    length: empty ? [] : length,
    body: body.toString("base64"),
  };
}

export interface Crossing {
  readonly answer: Answer;
  readonly received: Received;
  /** What has to be equal. */
  readonly comparable: { readonly asked: unknown; readonly answered: unknown };
}

async function cross(place: Place, origin: Origin, request: RequestParts): Promise<Crossing> {
  const before = origin.log.length;
  const answer = await Visitor.ask(place, request);
  const received = origin.log[before];
  if (received === undefined) {
    const { status, reason, body } = answer;
    throw new Error(`the origin was not asked: ${status} ${reason}: ${body.toString("latin1")}`);
  }
  const body = await received.body();
  return {
    answer,
    received,
    comparable: { asked: arrived(received, body), answered: seen(answer) },
  };
}

/** Asks twice; the origin's handler must read the request's body (`received.body()`). */
export async function bothWays(
  origin: Origin,
  tunnel: Place,
  request: RequestParts,
): Promise<{ readonly direct: Crossing; readonly tunnelled: Crossing }> {
  const direct = await cross(origin.place, origin, request);
  const tunnelled = await cross(tunnel, origin, request);
  return { direct, tunnelled };
}
