/**
 * Header fields: which are legal, and which may cross from one connection to the next.
 *
 * Both ends apply both rules: neither relies on the other having done so.
 */
import type { HeaderList } from "./frame.ts";

/** RFC 9110 section 5.6.2: a field name is a token. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Control characters but tab: a value with CR or LF in it is a second header to somebody (RFC 9110 section 5.5). */
// oxlint-disable-next-line no-control-regex -- control characters are the point
const control = /[\0-\x08\x0a-\x1f\x7f]/;

/** Whether `name` may name a header field. Methods have the same grammar. */
export function isHeaderName(name: string): boolean {
  return token.test(name);
}

/** Whether `value` may be a field's value: any text that UTF-8 can say, without control characters but tab. */
export function isHeaderValue(value: string): boolean {
  return !control.test(value) && value.isWellFormed();
}

/** Fields that belong to one connection and never cross (RFC 9110 section 7.6.1 and its ancestors). */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * What may cross of `headers`: all but hop-by-hop fields, the fields that `Connection` names, and Sluice's own
 * `sluice-*` fields, which only the edge may set. Order, case and repetition are kept.
 */
export function crossing(headers: HeaderList): string[] {
  const named = namedByConnection(headers);
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    const lower = name.toLowerCase();
    if (hopByHop.has(lower) || lower.startsWith("sluice-") || named?.has(lower)) continue;
    kept.push(name, headers[i + 1] as string);
  }
  return kept;
}

/** The lower-case names that `Connection` lists, which are hop-by-hop for this message; usually none. */
function namedByConnection(headers: HeaderList): Set<string> | undefined {
  let named: Set<string> | undefined;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if ((headers[i] as string).toLowerCase() !== "connection") continue;
    for (const part of (headers[i + 1] as string).split(",")) {
      (named ??= new Set()).add(part.trim().toLowerCase());
    }
  }
  return named;
}

/** The first value of the field `name` (any case), or undefined. */
export function headerValue(headers: HeaderList, name: string): string | undefined {
  const wanted = name.toLowerCase();
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if ((headers[i] as string).toLowerCase() === wanted) return headers[i + 1];
  }
  return undefined;
}
