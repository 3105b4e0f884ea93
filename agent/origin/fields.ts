/**
 * Header fields between the tunnel, where they are Unicode text, and HTTP/1.1, where they are bytes.
 *
 * Both HTTP clients write strings as latin1, one byte a char, and give back bytes or latin1 strings.
 */
import { isUtf8 } from "node:buffer";
import type { HeaderList, RequestHead } from "../../codec/frame.ts";
import { crossing } from "../../codec/headers.ts";
import { localNames } from "./local-names.ts";

// oxlint-disable-next-line no-control-regex -- everything but ASCII is the point
const beyondAscii = /[^\0-\x7f]/;

/** The latin1 string whose bytes are the UTF-8 of `text`. */
export function toWire(text: string): string {
  return beyondAscii.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text;
}

/** What bytes of a field say: UTF-8, or latin1 where they are not UTF-8, as old servers send it. */
export function fromWire(bytes: Buffer | string): string {
  const latin1 = typeof bytes === "string" ? bytes : bytes.toString("latin1");
  if (!beyondAscii.test(latin1)) return latin1;
  const raw = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
  return isUtf8(raw) ? raw.toString("utf8") : latin1;
}

/** Fields as either client gives them, flat. */
export function fieldsFromWire(raw: readonly (Buffer | string)[]): string[] {
  return raw.map(fromWire);
}

/** What the agent itself says in a request's head. */
export interface Own {
  readonly host: string;
  /** Further fields, which visitors cannot send. */
  readonly own: HeaderList;
  /** Whether the origin learns by which name it is visited. */
  readonly publicName: boolean;
}

/**
 * A request's fields as the origin gets them: what may cross, under our own `Host`.
 *
 * `Content-Length` and `Transfer-Encoding` are left to whoever frames the body: framing by two parties is request
 * smuggling (RFC 9112 section 11.2). `Expect` was answered at the edge.
 */
export function requestFields(head: RequestHead, { host, own, publicName }: Own): string[] {
  const fields = ["host", host, ...own];
  const visitors = crossing(head.headers);
  const crossed = publicName ? visitors : localNames(visitors, host);
  for (let i = 0; i + 1 < crossed.length; i += 2) {
    const name = crossed[i] as string;
    if (ours.has(name.toLowerCase())) continue;
    fields.push(name, toWire(crossed[i + 1] as string));
  }
  return fields;
}

const ours = new Set(["host", "content-length", "expect"]);
