/**
 * Less than a core for a process: it is stopped whenever it has used more than its share of the time. What needs more cores
 * than a machine has can be shown so, on a smaller scale.
 */
import { readFileSync } from "node:fs";

const LOOK_MS = 1;

/** What a process that had nothing to do may use at once. */
const MOST_SAVED_MS = 5;

interface Throttled {
  readonly pid: number;
  usedMs: number;
  /** What it may use before it is stopped; below zero it has to wait. */
  savedMs: number;
  stopped: boolean;
}

/** Holds the main thread of each of `pids` to `share` of a core. Returns what ends that. */
export function throttle(pids: readonly number[], share: number): () => void {
  const all = pids.map((pid): Throttled => ({
    pid,
    usedMs: usedMs(pid),
    savedMs: 0,
    stopped: false,
  }));
  let lookedMs = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    for (const each of all) {
      const used = usedMs(each.pid);
      each.savedMs += share * (now - lookedMs) - (used - each.usedMs);
      each.savedMs = Math.min(each.savedMs, MOST_SAVED_MS);
      each.usedMs = used;
      if (each.stopped !== each.savedMs < 0) stop(each, !each.stopped);
    }
    lookedMs = now;
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    for (const each of all) stop(each, false);
  };
}

function stop(each: Throttled, stopped: boolean): void {
  each.stopped = stopped;
  try {
    process.kill(each.pid, stopped ? "SIGSTOP" : "SIGCONT");
  } catch {
    // It has ended: whoever waits for it will say so.
  }
}

/** What the main thread has been given of a core, to the nanosecond. */
function usedMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ", 1)[0]) / 1e6;
  } catch {
    return 0;
  }
}
