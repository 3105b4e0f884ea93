/**
 * What a person reads of an event: pure functions of the event, the time and the width.
 */
import type { AgentCode } from "../codes.ts";
import { isLoopback } from "../config/loopback.ts";
import { showBytes, showMs } from "../config/duration.ts";
import type { AgentEvent, RequestEvent, RequestOutcome, Visitors } from "../events.ts";
import { cut, fill, type Line, shown, type Span, type Style, widthOf } from "./text.ts";

/** The page that says more of a code. */
export const ERRORS_PAGE = "docs/errors.md";

/** Of those that are not written to a terminal: as many characters of a path as one line bears. */
const UNLIMITED_PATH = 60;

/** Paths are padded to this; longer ones push the rest of the line to the right while there is room. */
const PATH_COLUMNS = 40;

/** `12:04:31`, in local time. */
export function clock(atMs: number): string {
  return new Date(atMs).toTimeString().slice(0, 8);
}

export function requests(count: number): string {
  return count === 1 ? "1 request" : `${count.toLocaleString("en")} requests`;
}

export function statusStyle(status: number): Style {
  return status >= 500 ? "red" : status >= 400 ? "yellow" : status >= 300 ? "cyan" : "green";
}

/** Outcomes whose names say too little. */
const words: Partial<Record<RequestOutcome, string>> = {
  cancelled: "the visitor went away",
  "origin-timeout": "no answer in time",
  "origin-reset": "the origin broke the connection off",
  "agent-lost": "the connection to the edge broke",
};

/** What went wrong, after the code that `docs/errors.md` lists; undefined when nothing did. */
export function failure({ outcome, reason }: RequestEvent): string | undefined {
  if (outcome === "ok") return undefined;
  const why = reason ?? words[outcome];
  return why === undefined ? outcome : `${outcome}: ${shown(why)}`;
}

/**
 * A finished request. What does not fit goes, the least important first: the size, the clock; at last the path is cut.
 * A failure's reason gets a line of its own when it has no room.
 */
export function requestLines(event: RequestEvent, atMs: number, columns: number): Line[] {
  const { method, status, ms, bytesOut } = event;
  const time = showMs(ms);
  const size = showBytes(bytesOut);
  const wide = columns >= 72;
  const withClock = columns >= 50;
  const after: Span[] = wide
    ? [
        ["  "],
        [String(status), statusStyle(status)],
        [`  ${time.padStart(8)}  ${size.padStart(9)}`],
      ]
    : [[" "], [String(status), statusStyle(status)], [` ${time.padStart(7)}`]];
  const before: Span[] = withClock
    ? [[clock(atMs), "dim"], [`  ${method.padEnd(wide ? 6 : 4)}  `]]
    : [[`${method.padEnd(4)} `]];
  const room = columns - spans(before) - spans(after);
  const path = shown(event.path);
  const most = Number.isFinite(columns) ? Math.max(4, room) : UNLIMITED_PATH;
  const padded = Number.isFinite(columns) ? Math.min(PATH_COLUMNS, most) : 28;
  const fitted = cut(path, most);
  const line: Span[] = [
    ...before,
    [widthOf(fitted) < padded ? fill(fitted, padded) : fitted],
    ...after,
  ];
  const why = failure(event);
  if (why === undefined) return [line];
  // As often as it happened may come behind it.
  if (spans(line) + 2 + widthOf(why) + " (x1234)".length <= columns)
    return [[...line, ["  "], [why, "red"]]];
  return [line, [[" ".repeat(withClock ? 10 : 5)], [why, "red"]]];
}

function spans(line: Line): number {
  return line.reduce((sum, [text]) => sum + widthOf(text), 0);
}

/** A labelled line, as in Vite's banner. */
export function field(label: string, value: string, remark?: Span): Line {
  const base: Span[] = [
    ["  "],
    ["➜", "green"],
    ["  "],
    [label.padEnd(10), "bold"],
    [shown(value), "cyan"],
  ];
  return remark === undefined ? base : [...base, ["  "], remark];
}

/** Who can reach what is served: as the edge's rule for visitors has it, or a warning that we do not know it. */
export function exposure(url: string, origin: string, visitors: Visitors | undefined): Line {
  if (visitors === "token") {
    return [[`Only who has a visitor token for the service can reach ${origin}.`, "dim"]];
  }
  const close: Span = [" VISITORS=token at the edge lets in only who has a token.", "dim"];
  if (isLoopback(new URL(url))) {
    return [
      [`Everybody on this machine can reach ${origin} through the edge, and nobody else.`, "dim"],
    ];
  }
  return visitors === "public"
    ? [[`Anyone who knows the URL can reach ${origin}, and all that it answers.`, "yellow"], close]
    : [[`Everyone whom the edge lets through can reach ${origin}.`, "yellow"], close];
}

/** Where a code is explained, in brackets behind its sentence. */
export function pointer(code: string): Span {
  return [` (${code}, ${ERRORS_PAGE}#${code})`, "dim"];
}

/** Ends of dials that never were connections. */
const howLost = new Map<AgentCode, string>([
  ["edge-unreachable", "cannot reach the edge"],
  ["too-many-agents", "not let in"],
]);

/** Why there is no connection, without what comes next. */
export function lost({ code, reason }: AgentEvent & { readonly event: "disconnected" }): Line {
  const what = howLost.get(code) ?? "disconnected";
  return [[what, "yellow"], [`: ${reason === "" ? code : `${shown(reason)} (${code})`}`]];
}

/** `2 s`, `1 min 5 s`: whole seconds, as a countdown shows them. */
export function seconds(ms: number): string {
  const all = Math.max(0, Math.ceil(ms / 1000));
  return all < 60 ? `${all} s` : `${Math.floor(all / 60)} min ${all % 60} s`;
}

/** How long something has been going on: `12 s`, `3:05`, `1:02:03`. */
export function age(ms: number): string {
  const all = Math.max(0, Math.floor(ms / 1000));
  if (all < 60) return `${all} s`;
  const two = (number: number): string => String(number).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  return hours === 0 ? `${minutes}:${two(rest)}` : `${hours}:${two(minutes)}:${two(rest)}`;
}

/** Whether the origin takes connections, behind its address. */
export function originRemark(
  event: (AgentEvent & { readonly event: "origin" }) | undefined,
): Span | undefined {
  if (event === undefined) return undefined;
  return event.up ? [`(up, ${showMs(event.ms)})`, "green"] : ["(not answering)", "yellow"];
}

/** What is said of an event that needs no more than a sentence, and no screen. */
export function told(event: AgentEvent): Line[] {
  switch (event.event) {
    case "resumed": {
      const { rttMs, streams } = event;
      return [[[`connected again, rtt ${showMs(rttMs)}, ${requests(streams)} in flight went on`]]];
    }
    case "metrics":
      return [field("Metrics", event.url)];
    case "shards":
      return [[[`the service is spread over ${event.shards} objects`]]];
    case "replaced":
      return [[["another agent has taken over with --replace"]]];
    case "draining": {
      const { inFlight, graceMs } = event;
      if (inFlight === 0) return [];
      const within = `up to ${seconds(graceMs)} (Ctrl-C again to stop now)`;
      return [[[`draining: ${requests(inFlight)} in flight, ${within}`]]];
    }
    case "origin":
      return event.up
        ? []
        : [
            [
              ["warning:", "yellow"],
              [
                ` nothing answers at ${event.origin}: ${shown(event.reason ?? "")}. Start your server there.`,
              ],
            ],
          ];
    case "warning":
      return [[["warning:", "yellow"], [` ${shown(event.message)}`], pointer(event.code)]];
    case "error":
      return errorLines(event);
    default:
      return [];
  }
}

/** A fault of our own comes with its stack, a line each. */
function errorLines({ message, code }: AgentEvent & { readonly event: "error" }): Line[] {
  const [first = "", ...rest] = message.split("\n");
  return [
    [["error:", "red"], [` ${shown(first)}`], pointer(code)],
    ...rest.map((line): Line => [[shown(line), "dim"]]),
  ];
}
