/** What the page knows: the list as the agent tells it, what is looked at, and whether the agent is there. */
import type { List, Row, Status } from "../api.ts";

/** More rows than the agent keeps are of no use. */
const MOST_ROWS = 1000;

/** "lost": tries again; "over": another agent has another token. */
export type Reach = "opening" | "live" | "lost" | "over";

/** A row, and when we heard it: what is open goes on meanwhile. */
export interface Heard {
  readonly row: Row;
  readonly heardMs: number;
}

interface Report {
  readonly seen: number;
  readonly open: number;
  readonly missed: number;
  readonly rows: readonly Row[];
}

/** One message to all that listen: something is new. */
export class Store {
  rows = new Map<number, Heard>();
  /** Newest first; while the list is paused, as it was then. */
  ids: readonly number[] = [];
  seen = 0;
  open = 0;
  paused = false;
  reach: Reach = "opening";
  status: Status | undefined;
  readonly #listeners = new Set<() => void>();
  #source: EventSource | undefined;
  #scheduled = false;
  #resyncing: Promise<void> | undefined;

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
      this.rows.clear();
      this.ids = [];
      this.#tell();
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

  /** Asks for the whole list. Who asks while it is on its way waits for that one. */
  resync(): Promise<void> {
    this.#resyncing ??= this.#load().finally(() => (this.#resyncing = undefined));
    return this.#resyncing;
  }

  async #load(): Promise<void> {
    try {
      const list = await getJson<List>("/api/exchanges");
      const heardMs = performance.now();
      this.rows = new Map(list.rows.map((row) => [row.id, { row, heardMs }]));
      this.seen = list.seen;
      if (!this.paused) this.#order();
    } catch {
      // The agent is gone: the source says so.
    }
    this.#tell();
  }

  async loadStatus(): Promise<void> {
    try {
      this.status = await getJson<Status>("/api/status");
      this.#tell();
    } catch {
      // The agent is gone: the source says so.
    }
  }

  pause(paused: boolean): void {
    this.paused = paused;
    if (!paused) this.#order();
    this.#tell();
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
    // Rows that were left out may have ended: what is shown of them would stay open for ever.
    if (missed > 0) this.#later();
    if (fresh && !this.paused) this.#order();
    this.#tell();
  }

  #laterTimer: number | undefined;

  /** Asks for the list again once it is calmer. */
  #later(): void {
    clearTimeout(this.#laterTimer);
    this.#laterTimer = window.setTimeout(() => void this.resync(), 500);
  }

  #order(): void {
    const ids = [...this.rows.keys()].sort((a, b) => b - a);
    for (const id of ids.slice(MOST_ROWS)) this.rows.delete(id);
    this.ids = ids.slice(0, MOST_ROWS);
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
