/**
 * What changes, told to the browsers that look, as server-sent events: a few times a second, and only what is new.
 *
 * A browser that does not read is not waited for: what it misses it gets by asking for the list again.
 */
import type { ServerResponse } from "node:http";
import type { Capture } from "./capture.ts";
import type { Recording } from "./recording.ts";

/** Between two reports: faster nobody sees. */
const EVERY_MS = 120;

/** What one report may say: some hundred rows, where a screen shows fifty. */
const MOST_REPORT_CHARS = 256 * 1024;

/** A connection that is silent for longer may be taken for dead. */
const HEARTBEAT_MS = 15_000;

/** What may wait for one browser. */
const MOST_WAITING_BYTES = 256 * 1024;

/** The most browsers' windows at once. */
export const MOST_VIEWERS = 16;

interface Viewer {
  readonly response: ServerResponse;
  /** It did not read, and has missed something. */
  behind: boolean;
}

export class Live {
  readonly #capture: Capture;
  readonly #viewers = new Set<Viewer>();
  readonly #changed = new Set<Recording>();
  #timer: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(capture: Capture) {
    this.#capture = capture;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  /** Tells one more browser from now on. False: there are too many. */
  join(response: ServerResponse): boolean {
    if (this.#viewers.size >= MOST_VIEWERS) return false;
    const viewer: Viewer = { response, behind: false };
    this.#viewers.add(viewer);
    this.#capture.onChange = (recording) => this.#note(recording);
    this.#heartbeat ??= setInterval(() => this.#send(": still here\n\n"), HEARTBEAT_MS).unref();
    response.on("drain", () => {
      if (!viewer.behind) return;
      viewer.behind = false;
      response.write("event: resync\ndata: {}\n\n");
    });
    response.on("close", () => this.#leave(viewer));
    response.write("retry: 1000\nevent: hello\ndata: {}\n\n");
    return true;
  }

  /** All exchanges that are over were forgotten. */
  cleared(): void {
    this.#send("event: cleared\ndata: {}\n\n");
  }

  /** Something about the connections has changed. */
  status(): void {
    this.#send("event: status\ndata: {}\n\n");
  }

  close(): void {
    for (const { response } of this.#viewers) response.end();
  }

  #note(recording: Recording): void {
    this.#changed.add(recording);
    this.#timer ??= setTimeout(() => this.#report(), EVERY_MS).unref();
  }

  #report(): void {
    this.#timer = undefined;
    const changed = [...this.#changed].filter((recording) => !recording.forgotten);
    this.#changed.clear();
    const rows: string[] = [];
    let chars = 0;
    // Those that there is no room for are the oldest.
    for (const recording of changed.sort((a, b) => b.id - a.id)) {
      const row = JSON.stringify(recording.row());
      chars += row.length;
      if (chars > MOST_REPORT_CHARS) break;
      rows.push(row);
    }
    const { seen, open } = this.#capture;
    const numbers = `"seen":${seen},"open":${open},"missed":${changed.length - rows.length}`;
    this.#send(`event: rows\ndata: {${numbers},"rows":[${rows.join()}]}\n\n`);
  }

  #send(text: string): void {
    for (const viewer of this.#viewers) {
      if (viewer.behind) continue;
      if (viewer.response.writableLength > MOST_WAITING_BYTES) viewer.behind = true;
      else viewer.response.write(text);
    }
  }

  #leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    this.#capture.onChange = undefined;
    this.#changed.clear();
    clearTimeout(this.#timer);
    clearInterval(this.#heartbeat);
    this.#timer = undefined;
    this.#heartbeat = undefined;
  }
}
