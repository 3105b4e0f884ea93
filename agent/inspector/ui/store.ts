/** What the page knows: the list as the agent tells it, what is looked at, and whether the agent is there. */
import type { List, Row, Status } from "../api.ts";
import { clear, type Heard, type Known, trim, trimOthers, withList } from "./known.ts";

/** More rows than the agent keeps are of no use. */
const MOST_ROWS = 1000;

/** So long after the pointer has moved over the list no new row moves it away from under the pointer. */
const STILL_MS = 500;

/** "lost": tries again; "over": another agent has another token. */
export type Reach = "opening" | "live" | "lost" | "over";

interface Report {
  readonly seen: number;
  readonly open: number;
  readonly missed: number;
  readonly rows: readonly Row[];
}

/** One message to all that listen: something is new. */
export class Store {
  rows: Known = new Map();
  /** Newest first; while the list is paused, as it was then. */
  ids: readonly number[] = [];
  seen = 0;
  open = 0;
  /** How often all that is over was forgotten. */
  clears = 0;
  paused = false;
  /** How many had been seen when the list was paused. */
  seenBefore = 0;
  reach: Reach = "opening";
  status: Status | undefined;
  readonly #listeners = new Set<() => void>();
  #source: EventSource | undefined;
  #scheduled = false;
  /** When the number of those that are open was told last. */
  #openMs = -1;
  #stillUntilMs = 0;
  #orderTimer: number | undefined;
  /** Asks for the whole list. */
  readonly resync = oneAtATime(() => this.#load());
  readonly loadStatus = oneAtATime(() => this.#loadStatus());

  connect(): void {
    const source = new EventSource("/api/live");
    this.#source = source;
    source.addEventListener("hello", () => {
      this.reach = "live";
      void this.resync();
      void this.loadStatus();
    });
    source.addEventListener("resync", () => void this.resync());
    source.addEventListener("status", () => void this.loadStatus());
    source.addEventListener("cleared", () => {
      this.clears++;
      clear(this.rows);
      this.#order();
      this.#tell();
      // What was open when we last heard of it may have been over.
      void this.resync();
    });
    source.addEventListener("rows", ({ data }) => {
      this.#take(JSON.parse(String(data)) as Report);
    });
    source.addEventListener("error", () => {
      this.reach = source.readyState === EventSource.CLOSED ? "over" : "lost";
      this.#tell();
    });
    source.addEventListener("full", () => {
      source.close();
      this.reach = "over";
      this.#tell();
    });
  }

  close(): void {
    this.#source?.close();
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #load(): Promise<void> {
    try {
      const askedMs = performance.now();
      const list = await getJson<List>("/api/exchanges");
      const held = this.paused ? this.ids : [];
      const heardMs = performance.now();
      this.rows = withList(this.rows, list.rows, { askedMs, heardMs, held });
      this.seen = Math.max(this.seen, list.seen);
      if (this.#openMs < askedMs) this.open = list.open;
      if (!this.paused) this.#order();
    } catch {
      // The agent is gone: the source says so.
    }
    this.#tell();
  }

  async #loadStatus(): Promise<void> {
    try {
      this.status = await getJson<Status>("/api/status");
      this.#tell();
    } catch {
      // The agent is gone: the source says so.
    }
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.seenBefore = this.seen;
    if (!paused) this.#order();
    this.#tell();
  }

  /** The pointer moves over the list. */
  aim(): void {
    this.#stillUntilMs = performance.now() + STILL_MS;
  }

  async clear(): Promise<void> {
    await fetch("/api/exchanges", { method: "DELETE" });
  }

  #take({ rows, seen, open, missed }: Report): void {
    const heardMs = performance.now();
    let fresh = false;
    for (const row of rows) {
      fresh ||= !this.rows.has(row.id);
      this.rows.set(row.id, { row, heardMs });
    }
    this.seen = seen;
    this.open = open;
    this.#openMs = heardMs;
    // Rows that were left out may have ended: what is shown of them would stay open for ever.
    if (missed > 0) this.#later();
    if (fresh) this.#orderSoon();
    // What is looked at stays; of what waits no more than there will be shown.
    if (this.rows.size > this.ids.length + 2 * MOST_ROWS) {
      trimOthers(this.rows, MOST_ROWS, this.ids);
    }
    this.#tell();
  }

  #laterTimer: number | undefined;

  /** Asks for the list again once it is calmer. */
  #later(): void {
    clearTimeout(this.#laterTimer);
    this.#laterTimer = window.setTimeout(() => void this.resync(), 500);
  }

  #order(): void {
    this.ids = trim(this.rows, MOST_ROWS);
  }

  /** Not while somebody aims at a row. */
  #orderSoon(): void {
    if (this.paused || this.#orderTimer !== undefined) return;
    const waitMs = this.#stillUntilMs - performance.now();
    if (waitMs <= 0) {
      this.#order();
      return;
    }
    this.#orderTimer = window.setTimeout(() => {
      this.#orderTimer = undefined;
      this.#orderSoon();
      this.#tell();
    }, waitMs);
  }

  /** Once a frame is often enough. */
  #tell(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const tell = (): void => {
      this.#scheduled = false;
      for (const listener of this.#listeners) listener();
    };
    // A hidden tab has no frames.
    if (document.hidden) setTimeout(tell, 500);
    else requestAnimationFrame(tell);
  }
}

/** Runs `load` one at a time, as an answer may overtake another: who asks meanwhile gets one that begins after that. */
function oneAtATime(load: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const ask = (): Promise<void> => {
    if (running === undefined) {
      running = load().finally(() => (running = undefined));
      return running;
    }
    next ??= running.then(() => {
      next = undefined;
      return ask();
    });
    return next;
  };
  return ask;
}

/** @throws Error in the API's words */
export async function getJson<T>(path: string): Promise<T> {
  return (await ask(path).then((response) => response.json())) as T;
}

/** @throws Error in the API's words */
export async function ask(path: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(path, init);
  if (response.ok) return response;
  const said = (await response.json().catch(() => ({}))) as { readonly error?: string };
  throw new Error(said.error ?? `the agent answered ${response.status}`);
}

/** How long an exchange has taken by now. */
export function msOf({ row, heardMs }: Heard): number {
  return row.phase === "over" ? row.ms : row.ms + performance.now() - heardMs;
}
