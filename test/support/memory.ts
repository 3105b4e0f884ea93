/** What /proc says of our own processes: resident memory, parents and children. Linux only. */
import { readFileSync, readdirSync } from "node:fs";

const MiB = 1024 * 1024;

/** Whether this system has what the other functions read. */
export const procfs = process.platform === "linux";

/** Resident memory of a process in MiB. */
export function residentMiB(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  if (found === undefined) throw new Error(`process ${pid} has no memory any more`);
  return (Number(found) * 1024) / MiB;
}

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** One letter; Z is a process that has ended and was not waited for. */
  readonly state: string;
}

function processes(): ProcessEntry[] {
  const entries: ProcessEntry[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const found = /^(\d+) \((.*)\) (\S) (\d+) /s.exec(
        readFileSync(`/proc/${name}/stat`, "latin1"),
      );
      if (found === null) continue;
      const [, pid, title = "", state = "", parent] = found;
      entries.push({ pid: Number(pid), name: title, state, parent: Number(parent) });
    } catch {
      // It ended between the listing and the reading.
    }
  }
  return entries;
}

/** All processes below `pid`, itself not included. */
export function descendants(pid: number): readonly ProcessEntry[] {
  const all = processes();
  const below: ProcessEntry[] = [];
  const parents = [pid];
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    for (const entry of all) {
      if (entry.parent !== parent) continue;
      below.push(entry);
      parents.push(entry.pid);
    }
  }
  return below;
}

/** Whether a process with this id runs (one that has ended but was not waited for does not). */
export function alive(pid: number): boolean {
  return processes().some((entry) => entry.pid === pid && entry.state !== "Z");
}

/** Keeps the largest resident memory of a process, looked at every few milliseconds, until `stop()` gives it. */
export class PeakMemory {
  readonly before: number;
  #peak: number;
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#pid = pid;
    this.before = residentMiB(pid);
    this.#peak = this.before;
    this.#timer = setInterval(() => this.#look(), 20);
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, residentMiB(this.#pid));
  }

  /** By how many MiB the process was larger than at the start, at its largest. */
  get growth(): number {
    this.#look();
    return this.#peak - this.before;
  }

  stop(): number {
    clearInterval(this.#timer);
    return this.growth;
  }
}
