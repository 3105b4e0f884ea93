/** Exchanges as an HTTP archive (HAR 1.2), which browsers' developer tools and many others open. */
import { isUtf8 } from "node:buffer";
import type { HeaderList } from "../../codec/frame.ts";
import { headerValue } from "../../codec/headers.ts";
import { VERSION } from "../software.ts";
import { MASK } from "./api.ts";
import { decoded } from "./decoded.ts";
import type { Recording } from "./recording.ts";
import { fieldsOf } from "./secrets.ts";

/** How bodies and secrets go into it, and what the paths are relative to. */
export interface HarOptions {
  readonly reveal: boolean;
  /** The URL of a request's target. */
  readonly url: (recording: Recording) => string;
}

interface NameValue {
  readonly name: string;
  readonly value: string;
}

/** The archive's text in pieces, one for each exchange, in their order: all of it at once may be large. */
export function* harText(recordings: readonly Recording[], options: HarOptions): Generator<string> {
  const creator = JSON.stringify({ name: "Sluice", version: VERSION });
  yield `{"log":{"version":"1.2","creator":${creator},"entries":[`;
  let between = "";
  for (const recording of recordings) {
    yield `${between}\n${JSON.stringify(entryOf(recording, options))}`;
    between = ",";
  }
  yield "\n]}}\n";
}

function entryOf(recording: Recording, { reveal, url }: HarOptions): object {
  const { request, response, requestBody, responseBody, outcome } = recording;
  const timing = recording.timing();
  const end = timing.ended ?? recording.ms;
  const started = timing.started ?? end;
  const connected = timing.connected ?? started;
  const sent = Math.max(connected, Math.min(timing.lastReceived ?? connected, end));
  const answered = Math.max(sent, timing.answered ?? sent);
  const at = url(recording);
  const requestKept = requestBody.read();
  const row = recording.row();
  return {
    startedDateTime: new Date(recording.at).toISOString(),
    time: recording.ms,
    request: {
      method: request.method,
      url: at,
      httpVersion: "HTTP/1.1",
      cookies: cookiesOf(request.headers, reveal),
      headers: headersOf(request.headers, reveal),
      queryString: queryOf(request.path),
      headersSize: -1,
      bodySize: requestBody.bytes,
      ...(requestBody.bytes === 0
        ? {}
        : {
            postData: {
              mimeType: headerValue(request.headers, "content-type") ?? "",
              ...textOf(requestKept),
              ...cutNote(requestBody),
            },
          }),
    },
    response: {
      status: row.status,
      statusText: response?.reason ?? "",
      httpVersion: "HTTP/1.1",
      cookies: [],
      headers: headersOf(response?.headers ?? [], reveal),
      content: contentOf(recording),
      redirectURL: headerValue(response?.headers ?? [], "location") ?? "",
      headersSize: -1,
      bodySize: responseBody.bytes,
      ...(outcome === undefined || outcome.outcome === "ok" ? {} : { _error: row.says }),
    },
    cache: {},
    timings: {
      blocked: started,
      dns: -1,
      connect: Math.max(0, connected - started),
      send: Math.max(0, sent - connected),
      wait: Math.max(0, answered - sent),
      receive: Math.max(0, end - answered),
      ssl: -1,
    },
    ...(recording.kind === "socket" ? { _webSocketMessages: messagesOf(recording) } : {}),
    ...(recording.replayOf === 0 ? {} : { _replayOf: recording.replayOf }),
    _id: recording.id,
    _service: recording.service,
    _stalledMs: timing.stalledMs,
  };
}

function contentOf(recording: Recording): object {
  const { response, responseBody } = recording;
  const headers = response?.headers ?? [];
  const { bytes } = decoded(responseBody.read(), headerValue(headers, "content-encoding") ?? "");
  return {
    size: bytes.length,
    mimeType: headerValue(headers, "content-type") ?? "",
    ...(bytes.length === 0 ? {} : textOf(bytes)),
    ...cutNote(responseBody),
  };
}

function textOf(bytes: Uint8Array): { readonly text: string; readonly encoding?: "base64" } {
  const buffer = Buffer.from(bytes);
  return isUtf8(buffer)
    ? { text: buffer.toString("utf8") }
    : { text: buffer.toString("base64"), encoding: "base64" };
}

function cutNote({ bytes, keptBytes }: Recording["requestBody"]): { readonly comment?: string } {
  return bytes === keptBytes ? {} : { comment: `captured ${keptBytes} of ${bytes} bytes` };
}

function headersOf(headers: HeaderList, reveal: boolean): NameValue[] {
  return fieldsOf(headers, reveal).map(({ name, value }) => ({ name, value }));
}

function cookiesOf(headers: HeaderList, reveal: boolean): NameValue[] {
  const cookies: NameValue[] = [];
  for (const part of (headerValue(headers, "cookie") ?? "").split(";")) {
    const equals = part.indexOf("=");
    if (equals <= 0) continue;
    const value = reveal ? part.slice(equals + 1).trim() : MASK;
    cookies.push({ name: part.slice(0, equals).trim(), value });
  }
  return cookies;
}

function queryOf(path: string): NameValue[] {
  const mark = path.indexOf("?");
  if (mark === -1) return [];
  const parameters = new URLSearchParams(path.slice(mark + 1));
  return Array.from(parameters, ([name, value]) => ({ name, value }));
}

/** As Chrome exports them. */
function messagesOf(recording: Recording): object[] {
  return recording
    .messages()
    .filter(({ kind }) => kind === "text" || kind === "binary")
    .map(({ at, direction, kind, text }) => ({
      type: direction === "in" ? "send" : "receive",
      time: (recording.at + at) / 1000,
      opcode: kind === "text" ? 1 : 2,
      data: kind === "text" ? text : Buffer.from(text, "hex").toString("base64"),
    }));
}
