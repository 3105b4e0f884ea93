/**
 * What of a row is the headline: the figure that is compared, and the floor it is compared with.
 */
import { MEMCPY_FRESH } from "./codec.ts";
import { BARE_256, BARE_64, DIRECT, HELLO, RELAY } from "./floor/floors.ts";
import type { Figure, Row } from "./row.ts";

/** The first figure that a row has of these is its headline. */
const headlines = ["perSecond", "mbPerS", "p50Ms", "ns", "edgeGrowthMiB"] as const;

/** Rows whose headline is a latency although they have a rate: one visitor at a time. */
const byLatency = /^small(?:, c=1(?:,|$)| beside)/;

export function headlineOf(row: Row): string | undefined {
  if (byLatency.test(row.name) && row.figures["p50Ms"] !== undefined) return "p50Ms";
  return headlines.find((name) => row.figures[name] !== undefined) ?? Object.keys(row.figures)[0];
}

/** The systems that are the floor of a row; where there are two, the better one is. */
function floorsOf(row: Row): readonly string[] {
  if (row.subject === "path") return [DIRECT];
  if (row.subject === "codec") return [MEMCPY_FRESH];
  if (row.subject !== "tunnel") return [];
  if (row.name.startsWith("small, c=")) return [HELLO];
  if (/^(?:down|up)load/.test(row.name)) return [BARE_64, BARE_256];
  if (row.name.includes("WebSockets")) return [RELAY];
  return row.name === "events" ? [DIRECT] : [];
}

/** The headline figure divided by the floor's of the same row. */
export function ratioToFloor(row: Row, rows: readonly Row[]): number | undefined {
  const name = headlineOf(row);
  const figure = name === undefined ? undefined : row.figures[name];
  if (name === undefined || figure === undefined) return undefined;
  const floors = rows
    .filter(
      (one) =>
        one.subject === row.subject && one.name === row.name && floorsOf(row).includes(one.system),
    )
    .flatMap((one): Figure[] => (one.figures[name] === undefined ? [] : [one.figures[name]]))
    .map(({ median }) => median);
  if (floors.length === 0) return undefined;
  return figure.median / (figure.better === "more" ? Math.max(...floors) : Math.min(...floors));
}
