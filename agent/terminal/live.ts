/**
 * A terminal with a person before it: lines that scroll by, and below them what is under way, until it is over.
 */
import { showMs } from "../config/duration.ts";
import type { AgentEvent, RequestEvent } from "../events.ts";
import type { Watch } from "../watch.ts";
import type { Level } from "./levels.ts";
import { LineSink } from "./line-sink.ts";
import { clock, exposure, failure, field, originRemark, requestLines, told } from "./lines.ts";
import type { Sink } from "./log.ts";
import { Screen, type Tty } from "./screen.ts";
import { backLine, lostNow, type Status, statusLine, withOneBack } from "./status.ts";
import { Statistics } from "./statistics.ts";
import { OpenStreams, SHOWN_AFTER_MS, streamLines } from "./streams.ts";
import {
  cutLine,
  type Line,
  type Paint,
  paintLine,
  shown,
  type Span,
  textOf,
  wrapLine,
} from "./text.ts";
import type { About, Voice } from "./voice.ts";

/** How often what counts up or down is drawn again. */
const TICK_MS = 250;

const BLANK: Line = [[""]];

/** Rows that open streams may take. */
const STREAM_ROWS = 6;

/** What is known of one service. */
interface Service {
  readonly about: About;
  status: Status | undefined;
  url: string | undefined;
  origin: string | undefined;
  originState: (AgentEvent & { readonly event: "origin" }) | undefined;
}

export interface LiveOptions {
  readonly tty: Tty;
  readonly paint: Paint;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly after: (ms: number, due: () => void) => () => void;
}

export class LiveVoice implements Voice {
  readonly screen: Screen;
  readonly streams: OpenStreams;
  readonly #options: LiveOptions;
  readonly #statistics: Statistics;
  readonly #services = new Map<string, Service>();
  #inspector: string | undefined;
  #metrics: string | undefined;
  /** Where an edge of this process listens. */
  #edge: string | undefined;
  /** What to press for more; undefined when nobody listens to keys. */
  #hint: string | undefined;
  #ticking = false;
  #over = false;

  constructor(options: LiveOptions) {
    const { tty, now, after } = options;
    this.#options = options;
    this.#statistics = new Statistics(now());
    this.streams = new OpenStreams(now, () => this.#tick());
    this.screen = new Screen({
      tty,
      now,
      after,
      foot: (columns, rows) => this.#foot(columns, rows),
    });
  }

  /** Says once what to press for more. */
  set hint(text: string) {
    this.#hint = text;
  }

  /** Where another program's output goes: above the foot. */
  get output(): Sink {
    return new LineSink((lines) => this.screen.print(lines));
  }

  /** How wide a row may be. */
  get columns(): number {
    return this.screen.columns - 1;
  }

  get colourful(): boolean {
    return this.#options.paint("red", "x") !== "x";
  }

  /** The public URLs of those that were connected, or that of the edge. */
  get urls(): readonly string[] {
    const all = [...this.#services.values()].map(({ url }) => url);
    return [...all, this.#edge].filter((url) => url !== undefined);
  }

  /** Says how to get help, where that is not said with something else. */
  sayHint(): void {
    if (this.#hint !== undefined) this.rows([[["  "], [this.#hint, "dim"]], BLANK]);
  }

  get inspector(): string | undefined {
    return this.#inspector;
  }

  header(text: string): void {
    this.rows([[["  "], [text, "bold"]], BLANK]);
  }

  sees(event: AgentEvent): void {
    this.#statistics.count(event, this.#options.now());
  }

  event(event: AgentEvent, about: About): void {
    const service = this.#service(about);
    switch (event.event) {
      case "request":
        this.#request(event, about);
        break;
      case "connected":
        if (event.again) this.#again(event, service, 0);
        else if ((event.shard ?? 0) === 0) this.#connected(event, service);
        break;
      case "resumed":
        this.#again(event, service, event.streams);
        break;
      case "disconnected":
        this.#disconnected(event, service);
        break;
      case "origin":
        service.originState = event;
        if (service.url !== undefined) this.#sentences(told(event), about);
        break;
      case "inspector":
        this.#inspector = event.url;
        if (service.url !== undefined) this.#fields([field("Inspector", event.url)], about);
        break;
      case "metrics":
        this.#metrics = event.url;
        this.#fields(told(event), about);
        break;
      case "listening":
        this.#edge = event.url;
        break;
      case "draining":
        if (event.inFlight === 0) break;
        this.#set(service, { is: "draining", untilMs: this.#options.now() + event.graceMs });
        break;
      case "error":
        this.#set(service, undefined);
        this.#sentences(told(event), about);
        break;
      default:
        this.#sentences(told(event), about);
    }
  }

  say(text: string, _level: Level, about: About): void {
    this.#service(about).status = undefined;
    this.#sentences([[[shown(text)]]], about, false);
  }

  block(text: string): void {
    this.screen.print(text.split("\n"));
  }

  /** Rows that are laid out already. */
  rows(lines: readonly Line[]): void {
    this.screen.print(lines.map((line) => paintLine(line, this.#options.paint)));
  }

  field(label: string, value: string, about: About): void {
    this.#fields([field(label, value)], about);
  }

  live(text: string, about: About): void {
    this.#set(this.#service(about), { is: "busy", line: [[shown(text), "dim"]] });
  }

  watch({ label }: About): Watch {
    return this.streams.watch(label);
  }

  /** What the person asked for: where everything is. */
  sayUrls(): void {
    for (const { about, url, origin, originState } of this.#services.values()) {
      if (url === undefined) continue;
      this.#fields([field("Public", url)], about);
      if (origin !== undefined) {
        this.#fields([field("Origin", origin, originRemark(originState))], about);
      }
    }
    if (this.#edge !== undefined) this.rows([field("Edge", this.#edge)]);
    if (this.#inspector !== undefined) this.rows([field("Inspector", this.#inspector)]);
    if (this.#metrics !== undefined) this.rows([field("Metrics", this.#metrics)]);
  }

  sayStatistics(): void {
    this.rows(this.#statistics.lines(this.#options.now(), this.streams.size));
  }

  /** The last words, and a terminal as it was. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    const connected = [...this.#services.values()].some(({ url }) => url !== undefined);
    if (connected) {
      const summary: Line = [["  "], [this.#statistics.summary(this.#options.now()), "dim"]];
      this.rows(wrapLine(summary, this.screen.columns, 2));
    }
    this.screen.close();
  }

  #service(about: About): Service {
    let service = this.#services.get(about.label);
    if (service === undefined) {
      const nothing = { status: undefined, url: undefined, origin: undefined };
      service = { about, ...nothing, originState: undefined };
      this.#services.set(about.label, service);
    }
    return service;
  }

  #request(event: RequestEvent, about: About): void {
    const columns = this.screen.columns - widthOfLabel(about);
    const lines = requestLines(event, this.#options.now(), columns);
    const { method, path, status } = event;
    const why = failure(event);
    // Whoever polls a server that is not there learns nothing from the twelfth line.
    const key = why === undefined ? undefined : `${about.label} ${method} ${path} ${status} ${why}`;
    this.#print(lines, about, key);
  }

  #connected(event: AgentEvent & { readonly event: "connected" }, service: Service): void {
    const { url, origin, rttMs, concurrency, visitors } = event;
    const { about } = service;
    service.url = url;
    service.origin = origin;
    service.status = undefined;
    const many = about.label !== "";
    const blank: Line[] = many ? [] : [BLANK];
    const inspector =
      many || this.#inspector === undefined ? [] : [field("Inspector", this.#inspector)];
    const hint: Span[] = this.#hint === undefined ? [] : [[`; ${this.#hint}`, "dim"]];
    this.#fields(
      [
        field("Public", url),
        field("Origin", origin, originRemark(service.originState)),
        ...inspector,
      ],
      about,
    );
    this.#print(blank, about);
    const connected: Line = [
      ["connected", "green"],
      [`, rtt ${showMs(rttMs)}, up to ${concurrency} requests at once`],
      ...hint,
    ];
    this.#sentences([connected, exposure(url, origin, visitors)], about, false);
    if (!many) this.rows([BLANK]);
  }

  #disconnected(event: AgentEvent & { readonly event: "disconnected" }, service: Service): void {
    const before = service.status?.is === "lost" ? service.status : undefined;
    this.#set(service, lostNow(before, event, this.#options.now()));
  }

  /** A connection is there again. */
  #again(
    { rttMs, shard = 0 }: AgentEvent & { readonly event: "connected" | "resumed" },
    service: Service,
    streams: number,
  ): void {
    const { status, about } = service;
    if (status?.is !== "lost") return;
    const left = withOneBack(status, shard, streams);
    if (left.shards.size > 0) {
      this.#set(service, left);
      return;
    }
    service.status = undefined;
    this.#sentences([backLine(left, rttMs, this.#options.now())], about);
  }

  #set(service: Service, status: Status | undefined): void {
    service.status = status;
    this.screen.changed();
    this.#tick();
  }

  /** Draws again what counts, as long as there is any. */
  #tick(): void {
    if (this.#ticking || this.#over) return;
    const counts = [...this.#services.values()].some(
      ({ status }) => status !== undefined && status.is !== "busy",
    );
    if (!counts && this.streams.size === 0) return;
    this.#ticking = true;
    const lasting = counts || this.streams.lasting(this.#options.now()).length > 0;
    this.#options.after(lasting ? TICK_MS : SHOWN_AFTER_MS, () => {
      this.#ticking = false;
      this.screen.changed();
      this.#tick();
    });
  }

  #foot(columns: number, rows: number): string[] {
    const now = this.#options.now();
    const lines: Line[] = [];
    for (const { about, status } of this.#services.values()) {
      if (status === undefined) continue;
      const line = statusLine(status, now, this.streams.size);
      lines.push(...wrapLine([...labelled(about), ...line], columns, 2).slice(0, 4));
    }
    const room = Math.min(STREAM_ROWS, rows - lines.length);
    lines.push(...streamLines(this.streams.lasting(now), now, columns, room));
    return lines.map((line) => paintLine(cutLine(line, columns), this.#options.paint));
  }

  /** Sentences are wrapped between words, and say when they were said. */
  #sentences(lines: readonly Line[], about: About, timed = true): void {
    const { now } = this.#options;
    const time: Line = timed ? [[clock(now()), "dim"], ["  "]] : [["  "]];
    const indent = timed ? 10 : 2;
    const columns = this.screen.columns - widthOfLabel(about);
    for (const line of lines) {
      const key = timed ? `${about.label} ${textOf(line)}` : undefined;
      // Eight columns of time are too much for a narrow terminal.
      const narrow = columns < 50;
      const rows = wrapLine([...(narrow ? [] : time), ...line], columns, narrow ? 2 : indent);
      this.#print(rows, about, key);
    }
  }

  /** Labelled lines; what does not fit beside a value goes below it. */
  #fields(lines: readonly Line[], about: About): void {
    const columns = this.screen.columns - widthOfLabel(about);
    this.#print(
      lines.flatMap((line) => wrapLine(line, columns, 5)),
      about,
    );
  }

  #print(lines: readonly Line[], about: About, key?: string): void {
    if (lines.length === 0) return;
    const { paint } = this.#options;
    this.screen.print(
      lines.map((line) => paintLine([...labelled(about), ...line], paint)),
      key,
    );
  }
}

function labelled({ label }: About): Line {
  return label === "" ? [] : [[label, "magenta"], ["  "]];
}

function widthOfLabel({ label }: About): number {
  return label === "" ? 0 : label.length + 2;
}
