/** Small hooks that several parts of the page use. */
import { useEffect, useRef, useState } from "preact/hooks";

/** Draws again when it is called. */
export function useAgain(): () => void {
  const [, count] = useState(0);
  return () => count((before) => before + 1);
}

/** Draws again so often while `on`. */
export function useTick(everyMs: number, on: boolean): void {
  const again = useAgain();
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(again, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, on]);
}

/** Counts seconds while `on`. */
export function useSeconds(on: boolean): number {
  const [seconds, count] = useState(0);
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => count((before) => before + 1), 1000);
    return () => clearInterval(timer);
  }, [on]);
  return seconds;
}

/** What a promise gives, and in words why it does not; nothing while it is on its way. */
export interface Loaded<T> {
  readonly value: T | undefined;
  readonly fault: string;
}

/**
 * Loads again when one of `inputs` changes, and shows what there was until then. What changes faster than an answer comes
 * is asked for once the answer is there. An answer about another `subject` than the present one is never shown.
 */
export function useLoaded<T>(
  load: () => Promise<T>,
  subject: string,
  inputs: readonly unknown[] = [],
): Loaded<T> {
  const [loaded, setLoaded] = useState<Loaded<T>>({ value: undefined, fault: "" });
  const latest = useRef(load);
  latest.current = load;
  const turn = useRef({ runs: false, again: false });
  useEffect(() => {
    turn.current = { runs: false, again: false };
    return () => {
      turn.current = { runs: true, again: false };
    };
  }, [subject]);
  useEffect(() => {
    const mine = turn.current;
    const run = async (): Promise<void> => {
      mine.runs = true;
      do {
        mine.again = false;
        const result = await settled(latest.current());
        if (turn.current !== mine) return;
        // What was loaded before is better than nothing.
        setLoaded((before) => (result.fault === "" ? result : { ...before, fault: result.fault }));
      } while (mine.again);
      mine.runs = false;
    };
    if (mine.runs) mine.again = true;
    else void run();
  }, [subject, ...inputs]);
  return loaded;
}

async function settled<T>(promise: Promise<T>): Promise<Loaded<T>> {
  try {
    return { value: await promise, fault: "" };
  } catch (error) {
    return { value: undefined, fault: error instanceof Error ? error.message : String(error) };
  }
}
