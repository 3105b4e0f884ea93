/**
 * When a head is legal. Asked on both sides of the wire: before a head is sent (then it is the visitor's or the
 * origin's fault) and after one was received (then it is the peer's). The bytes it takes are counted here, because the
 * limit has to be known before anything is queued.
 */
import type { BodyLength, HeaderList, RequestHead, ResponseHead } from "./frame.ts";
import { isHeaderName, isHeaderValue } from "./headers.ts";
import { MAX_HEAD_BYTES, MAX_HEADER_FIELDS, MAX_METHOD_CHARS, MAX_PATH_CHARS } from "./limits.ts";

/** Origin form, or `*` for OPTIONS: printable ASCII only (RFC 9112 section 3.2; a space would split the request line). */
const target = /^(?:\/[\x21-\x7e]*|\*)$/;

/** In any case of letters: methods are case-sensitive, but not every client and origin knows. */
const connect = /^connect$/i;

/** What is wrong with a request's head, in words; undefined when it is legal. */
export function requestFault(head: RequestHead): string | undefined {
  const { method, path, length, headers } = head;
  if (method.length > MAX_METHOD_CHARS || !isHeaderName(method) || connect.test(method)) {
    return "the method is not one that can be passed on";
  }
  if (path.length > MAX_PATH_CHARS || !target.test(path)) return "the request target is illegal";
  if (length === "socket" && method !== "GET") return "an upgrade that is no GET";
  return lengthFault(length) ?? headersFault(headers);
}

/** What is wrong with an answer's head, in words; undefined when it is legal. */
export function responseFault(head: ResponseHead): string | undefined {
  const { status, reason, length, headers } = head;
  if (status === 101 ? length !== "socket" : length === "socket") {
    return "only a WebSocket follows a 101, and nothing else does";
  }
  if (!Number.isInteger(status) || (status < 200 && status !== 101) || status > 599) {
    return "the status is not 101, nor one of 200 to 599";
  }
  if (!isHeaderValue(reason)) return "the reason phrase has control characters";
  return lengthFault(length) ?? headersFault(headers);
}

/** What is wrong with header or trailer fields, in words; undefined when they are legal. */
export function headersFault(headers: HeaderList): string | undefined {
  if (headers.length % 2 !== 0) return "a header field has no value";
  for (let i = 0; i < headers.length; i += 2) {
    if (!isHeaderName(headers[i] as string)) return "a header name is not a token";
    if (!isHeaderValue(headers[i + 1] as string)) return "a header value has control characters";
  }
  return undefined;
}

function lengthFault(length: BodyLength): string | undefined {
  if (typeof length !== "number") return undefined;
  return Number.isSafeInteger(length) && length >= 0 ? undefined : "the body's length is illegal";
}

/** Whether strings and header fields fit into one head frame. */
export function fitsFrame(headers: HeaderList, ...others: string[]): boolean {
  if (headers.length > 2 * MAX_HEADER_FIELDS) return false;
  let bytes = 64; // kind, stream, credit, status, length and the array's own header
  for (const text of headers) bytes += encodedBytes(text);
  for (const text of others) bytes += encodedBytes(text);
  return bytes <= MAX_HEAD_BYTES;
}

/** An upper bound of a string's size in msgpack: five bytes of header, and UTF-8 of at most three bytes a unit. */
function encodedBytes(text: string): number {
  let bytes = 5 + text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) bytes += unit > 0x7ff ? 2 : 1;
  }
  return bytes;
}
