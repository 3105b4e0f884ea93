/**
 * Notices that the machine has slept: every connection is then older than it looks.
 */

/** How often we look. A laptop's owner should not wait longer than this and a dial. */
const LOOK_MS = 500;

/** A look that comes so much too late means that nothing ran in between. */
const SLEPT_MS = 3000;

/** Calls `woke` whenever the machine (or this process alone) has slept. Returns what stops it. */
export function onWake(woke: () => void): () => void {
  // Not performance.now(), whose clock stands still while the machine sleeps.
  let lookedMs = Date.now();
  const timer = setInterval(() => {
    const beforeMs = lookedMs;
    lookedMs = Date.now();
    if (lookedMs - beforeMs >= LOOK_MS + SLEPT_MS) woke();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
