/**
 * Waiting for something to become true, with a deadline and a sentence that says what was awaited.
 *
 * Nothing here sleeps for a fixed time in the hope that something has happened by then.
 */

/** How long a test waits for what should come at once; generous, because the machine may be busy. */
export const SOON_MS = 10_000;

/**
 * What is added to a time that is promised: a machine that does other things too adds as much. It is less than what shows
 * that the promise is broken, which is never shorter than the 5 s between two pings.
 */
export const BUSY_MS = 3000;

/** Rejects with `what` when `promise` has not settled within `ms`. */
export async function within<T>(promise: Promise<T>, what: string, ms = SOON_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** For what reports no change (a process table, a file): asks `read` until it gives something other than undefined and false. */
export async function poll<T>(
  read: () => T | undefined | false | Promise<T | undefined | false>,
  what: string,
  ms = SOON_MS,
  everyMs = 10,
): Promise<T> {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = await read();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** For what reports its changes: `until` looks again at each `changed()`, and at no other time. */
export class Watch {
  readonly #waiting = new Set<() => void>();

  changed(): void {
    for (const look of this.#waiting) look();
  }

  /** The first value of `read` that is neither undefined nor false. Errors thrown by `read` end the wait. */
  async until<T>(read: () => T | undefined | false, what: string, ms = SOON_MS): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const look = (): void => {
      try {
        const value = read();
        if (value !== undefined && value !== false) resolve(value);
      } catch (error) {
        reject(error);
      }
    };
    this.#waiting.add(look);
    look();
    try {
      return await within(promise, what, ms);
    } finally {
      this.#waiting.delete(look);
    }
  }
}
