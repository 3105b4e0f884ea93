/** Small hooks that several parts of the page use. */
import { useEffect, useState } from "preact/hooks";

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

/** Loads again when one of `inputs` changes; shows what there was until then. */
export function useLoaded<T>(load: () => Promise<T>, inputs: readonly unknown[]): Loaded<T> {
  const [loaded, setLoaded] = useState<Loaded<T>>({ value: undefined, fault: "" });
  useEffect(() => {
    let current = true;
    load().then(
      (value) => {
        if (current) setLoaded({ value, fault: "" });
      },
      (error: unknown) => {
        if (!current) return;
        setLoaded({
          value: undefined,
          fault: error instanceof Error ? error.message : String(error),
        });
      },
    );
    return () => {
      current = false;
    };
  }, inputs);
  return loaded;
}
