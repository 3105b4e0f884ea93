/** What a body is taken for by its head, and what reads it as that. */
import type { HeaderList, ResponseHead } from "../../codec/frame.ts";
import { headerValue } from "../../codec/headers.ts";
import type { Direction, Kind } from "./api.ts";
import { Lines } from "./lines.ts";
import { MOST_TEXT_BYTES, type Said } from "./message-log.ts";
import { ServerSentEvents } from "./server-sent-events.ts";
import { WebSocketMessages } from "./websocket-messages.ts";

/** Takes a body's bytes as they pass. */
export type Reader = (bytes: Uint8Array, direction: Direction) => void;

/** Who is told what a reader has read. */
export interface Listener {
  said(said: Said, direction: Direction): void;
  /** From here on nothing is read any more, and why. */
  faulty(fault: string): void;
}

const lineTypes =
  /^application\/(?:x-ndjson|ndjson|jsonl|x-jsonl|json-lines|jsonlines|x-jsonlines|stream\+json)$/;

export function kindOf({ length, headers }: ResponseHead): Kind {
  if (length === "socket") return "socket";
  const type = mediaType(headers);
  if (type === "text/event-stream") return "events";
  return lineTypes.test(type) ? "lines" : "body";
}

/** The media type without its parameters, in lower case; "" when there is none. */
export function mediaType(headers: HeaderList): string {
  const type = headerValue(headers, "content-type") ?? "";
  const end = type.indexOf(";");
  return (end === -1 ? type : type.slice(0, end)).trim().toLowerCase();
}

/** What reads bodies of a kind; undefined where bytes are only bytes. */
export function readerOf(kind: Kind, listener: Listener): Reader | undefined {
  switch (kind) {
    case "events": {
      const events = new ServerSentEvents();
      return (bytes, direction) => {
        if (direction === "out") events.read(bytes, (said) => listener.said(said, "out"));
      };
    }
    case "lines": {
      const lines = new Lines({ mostBytes: MOST_TEXT_BYTES, byCr: false });
      return (bytes, direction) => {
        if (direction === "in") return;
        lines.read(bytes, (line) => {
          if (line.text.trim() !== "") listener.said({ kind: "line", ...line }, "out");
        });
      };
    }
    case "socket": {
      const sockets = { in: new WebSocketMessages(), out: new WebSocketMessages() };
      return (bytes, direction) => {
        const socket = sockets[direction];
        socket.read(bytes, (said) => listener.said(said, direction));
        if (socket.fault !== "") listener.faulty(socket.fault);
      };
    }
    case "body":
      return undefined;
  }
}
