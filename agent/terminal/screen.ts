/**
 * A terminal with a living foot: lines scroll by above, and below them a few rows are drawn again in place.
 *
 * It writes at most ten frames a second, each in one piece: the foot is overwritten, not erased first, so nothing
 * flickers. Between two frames the cursor is visible and below the foot, so whatever ends the process leaves a usable
 * terminal. It knows nothing of what it shows.
 */
import { widthOf } from "./text.ts";

/** Between two frames. A line that comes after a quiet moment is out at once. */
export const FRAME_MS = 100;

const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const ERASE_TO_END_OF_LINE = "\u001b[K";
const ERASE_BELOW = "\u001b[J";
const CLEAR = "\u001b[2J\u001b[3J\u001b[H";

/** A terminal, or what a test has instead. */
export interface Tty {
  /** Undefined, or 0, where it does not say. */
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

export interface ScreenOptions {
  readonly tty: Tty;
  /** The foot's lines, at most so many and each no wider than that; asked whenever a frame is drawn. */
  readonly foot: (columns: number, rows: number) => readonly string[];
  /** Milliseconds, from wherever. */
  readonly now: () => number;
  /** Calls back in so many milliseconds; what it returns calls that off. */
  readonly after: (ms: number, due: () => void) => () => void;
}

interface Printed {
  readonly rows: readonly string[];
  /** What makes the next one the same again. */
  readonly key: string | undefined;
  readonly count: number;
}

export class Screen {
  readonly #options: ScreenOptions;
  /** What is to be above the foot and is not yet. */
  #pending: Printed[] = [];
  /** The first of those goes in the place of the last that is there. */
  #replaces = false;
  /** What is directly above the foot. */
  #last: Printed | undefined;
  /** The foot as it was drawn. */
  #drawn: readonly string[] = [];
  #drawnMs = Number.NEGATIVE_INFINITY;
  #callOff: (() => void) | undefined;
  #clear = false;
  #closed = false;
  #suspended = false;

  constructor(options: ScreenOptions) {
    this.#options = options;
  }

  get columns(): number {
    return this.#options.tty.columns || 80;
  }

  get rows(): number {
    return this.#options.tty.rows || 24;
  }

  /** Prints rows above the foot. Those with the same `key` as the ones before take their place, and say how often. */
  print(rows: readonly string[], key?: string): void {
    const pending = this.#pending.at(-1);
    const before = pending ?? this.#last;
    const again = key !== undefined && before?.key === key;
    const count = again ? before.count + 1 : 1;
    if (again && pending !== undefined) this.#pending.pop();
    else if (again) this.#replaces = true;
    this.#pending.push({ rows, key, count });
    this.changed();
  }

  /** The foot, or the terminal's size, is not what it was. */
  changed(): void {
    if (this.#closed) {
      this.flush();
      return;
    }
    if (this.#callOff !== undefined) return;
    const { now, after } = this.#options;
    const dueMs = this.#drawnMs + FRAME_MS - now();
    if (dueMs <= 0) {
      this.flush();
      return;
    }
    // A clock that was set back is no reason to wait for it.
    this.#callOff = after(Math.min(dueMs, FRAME_MS), () => this.flush());
  }

  /** Empties the terminal. */
  clear(): void {
    this.#clear = true;
    this.flush();
  }

  /** Draws a frame now. */
  flush(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    this.#drawnMs = this.#options.now();
    const { columns } = this;
    // The last column stays free: what ends in it would wrap in some terminals and not in others.
    const foot = this.#closed || this.#suspended ? [] : this.#foot(columns - 1);
    const frame = this.#frame(foot, columns);
    this.#drawn = foot;
    if (frame !== "") this.#options.tty.write(HIDE_CURSOR + frame + SHOW_CURSOR);
  }

  /** Takes the foot away for good. What is printed later is written at once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.flush();
  }

  /** Takes the foot away and draws nothing: the terminal is about to be somebody else's. */
  suspend(): void {
    this.#suspended = true;
    this.flush();
  }

  /** The terminal is ours again: the foot goes below what is there now. */
  resume(): void {
    this.#suspended = false;
    this.#drawn = [];
    this.#last = undefined;
    this.changed();
  }

  #foot(columns: number): readonly string[] {
    // It must not fill the terminal: what scrolls out of it can never be overwritten.
    const most = Math.max(1, Math.min(12, Math.floor(this.rows / 2)));
    return this.#options.foot(columns, most).slice(0, most);
  }

  #frame(foot: readonly string[], columns: number): string {
    const pending = this.#pending;
    this.#pending = [];
    if (this.#clear) {
      this.#clear = false;
      this.#replaces = false;
      this.#last = undefined;
      return CLEAR + lines([...pending.flatMap(printed), ...foot], columns);
    }
    let up = 0;
    for (const line of this.#drawn) up += rowsOf(line, columns);
    if (this.#replaces && this.#last !== undefined) {
      let last = 0;
      for (const row of printed(this.#last)) last += rowsOf(row, columns);
      // What has scrolled out is out of reach.
      if (up + last < this.rows) up += last;
    }
    this.#replaces = false;
    this.#last = pending.at(-1) ?? this.#last;
    if (pending.length === 0 && same(foot, this.#drawn)) return "";
    const back = up === 0 ? "" : `\u001b[${up}A`;
    const text = lines([...pending.flatMap(printed), ...foot], columns);
    return `${back}\r${text}${up === 0 ? "" : ERASE_BELOW}`;
  }
}

/** Each in a row of its own. */
function lines(rows: readonly string[], columns: number): string {
  let text = "";
  for (const row of rows) {
    // Behind a character in the last column the cursor is still on it: erasing would take it away.
    const full = row !== "" && widthOf(row) % columns === 0;
    text += full ? `${row}\n` : `${row}${ERASE_TO_END_OF_LINE}\n`;
  }
  return text;
}

function printed({ rows, count }: Printed): readonly string[] {
  if (count === 1) return rows;
  const last = rows.at(-1) ?? "";
  return [...rows.slice(0, -1), `${last} (x${count})`];
}

/** How many rows of a terminal a line takes: more than one when the terminal was made narrower since. */
function rowsOf(line: string, columns: number): number {
  return Math.max(1, Math.ceil(widthOf(line) / columns));
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((line, index) => line === other[index]);
}
