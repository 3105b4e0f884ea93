/** Lengths of time, and sizes, as people write and read them. */

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of `500ms`, `30s`, `10m`, `12h` or `90d`; a bare number means seconds. Undefined when it is none of them. */
export function durationMs(text: string): number | undefined {
  const found = /^(\d{1,9})(ms|s|m|h|d)?$/.exec(text);
  if (found === null) return undefined;
  const unit = (found[2] ?? "s") as keyof typeof units;
  return Number(found[1]) * units[unit];
}

/** A time for a person: `14 ms`, `2.3 s`, `5 min`. */
export function showMs(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

/** A size for a person, in powers of 1000: `812 B`, `8.1 kB`, `1.1 GB`. */
export function showBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const names = ["kB", "MB", "GB", "TB"];
  let value = bytes / 1000;
  let name = 0;
  while (value >= 999.95 && name + 1 < names.length) {
    value /= 1000;
    name++;
  }
  return `${value.toFixed(1)} ${names[name]}`;
}
