/**
 * Charts as SVG, written by hand. Their colours are legible on white and on black, and they have no background.
 */
import type { Kind, Series } from "./row.ts";

export interface Axis {
  readonly label: string;
  readonly log: boolean;
  /** The least value shown; smaller ones are drawn there. */
  readonly least?: number;
}

const WIDTH = 800;
const HEIGHT = 400;
const LEFT = 64;
const RIGHT = 190;
const TOP = 44;
const BOTTOM = 48;
const INK = "#7d8590";

/** Ours stands out; everybody else has a colour that is the same in each chart. */
const colours: Readonly<Record<string, string>> = {
  sluice: "#1f8fff",
  "ssh -R": "#e07a1f",
  pipenet: "#3aa655",
  "warp-node": "#d1495b",
  frp: "#9467bd",
  chisel: "#b8860b",
  piko: "#17a2a2",
};

function colour(system: string, kind: Kind): string {
  return kind === "floor" ? "#9aa0a6" : (colours[system] ?? "#888888");
}

/** Lines of points, a name at the end of each. */
export function lineChart(title: string, x: Axis, y: Axis, series: readonly Series[]): string {
  const points = series.flatMap((one) => one.points);
  const toX = scale(
    x,
    points.map(([value]) => value),
    LEFT,
    WIDTH - RIGHT,
  );
  const toY = scale(
    y,
    points.map(([, value]) => value),
    HEIGHT - BOTTOM,
    TOP,
  );
  const labels = spread(series.map((one) => ({ one, at: toY.place(one.points.at(-1)?.[1] ?? 0) })));
  const lines = labels.map(({ one, at, labelAt }) => {
    const stroke = colour(one.system, one.kind);
    const path = one.points
      .map(
        ([px, py], index) =>
          `${index === 0 ? "M" : "L"}${fix(toX.place(px))} ${fix(toY.place(py))}`,
      )
      .join("");
    const last = toX.place(one.points.at(-1)?.[0] ?? 0);
    const dots =
      one.points.length > 12
        ? ""
        : one.points
            .map(
              ([px, py]) =>
                `<circle cx="${fix(toX.place(px))}" cy="${fix(toY.place(py))}" r="3" fill="${stroke}"/>`,
            )
            .join("");
    return (
      `<path d="${path}" fill="none" stroke="${stroke}" stroke-width="${one.kind === "ours" ? 3 : 1.7}"` +
      `${one.kind === "floor" ? ' stroke-dasharray="5 4"' : ""} stroke-linejoin="round"/>${dots}` +
      `<path d="M${fix(last + 4)} ${fix(at)}L${WIDTH - RIGHT + 14} ${fix(labelAt)}" stroke="${stroke}" stroke-width="0.7" opacity="0.6"/>` +
      text(WIDTH - RIGHT + 18, labelAt + 4, one.system, "start", stroke, one.kind === "ours")
    );
  });
  return frame(title, [...gridX(x, toX), ...gridY(y, toY), ...lines]);
}

/** A bar from a first to a last value of each system, with marks at each of `points`' second numbers. */
export function rangeChart(title: string, x: Axis, series: readonly Series[]): string {
  const toX = scale(
    x,
    series.flatMap((one) => one.points.map(([, value]) => value)),
    LEFT + 40,
    WIDTH - 40,
  );
  const step = (HEIGHT - TOP - BOTTOM) / Math.max(1, series.length);
  const bars = series.map((one, index) => {
    const y = TOP + step * (index + 0.5);
    const fill = colour(one.system, one.kind);
    const places = one.points.map(([, value]) => toX.place(value));
    const marks = one.points.map(([shape], at) => {
      const cx = places[at] ?? 0;
      return shape === 0
        ? `<circle cx="${fix(cx)}" cy="${fix(y)}" r="5" fill="none" stroke="${fill}" stroke-width="2"/>`
        : shape === 1
          ? `<circle cx="${fix(cx)}" cy="${fix(y)}" r="6" fill="${fill}"/>`
          : `<path d="M${fix(cx)} ${fix(y - 7)}V${fix(y + 7)}" stroke="${fill}" stroke-width="3"/>`;
    });
    return (
      `<path d="M${fix(Math.min(...places))} ${fix(y)}H${fix(Math.max(...places))}" stroke="${fill}" stroke-width="${one.kind === "ours" ? 4 : 2}" opacity="0.5"/>` +
      marks.join("") +
      text(LEFT + 28, y + 4, one.system, "end", fill, one.kind === "ours")
    );
  });
  return frame(title, [...gridX(x, toX), ...bars]);
}

interface Scale {
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
}

function scale(axis: Axis, values: readonly number[], from: number, to: number): Scale {
  const shown = values.map((value) => Math.max(value, axis.least ?? value));
  const low = axis.log ? Math.min(...shown) : Math.min(0, ...shown);
  const high = Math.max(...shown, low + (axis.log ? low : 1));
  const ticks = axis.log ? logTicks(low, high) : evenTicks(low, high);
  const first = axis.log ? Math.min(low, ticks[0] ?? low) : low;
  const last = Math.max(high, axis.log ? high : (ticks.at(-1) ?? high));
  const part = (value: number): number =>
    axis.log ? Math.log(value / first) / Math.log(last / first) : (value - first) / (last - first);
  return {
    ticks: ticks.filter((tick) => tick >= first && tick <= last),
    place: (value) => from + part(Math.max(value, axis.least ?? first)) * (to - from),
  };
}

function logTicks(low: number, high: number): number[] {
  const ticks: number[] = [];
  const few = high / low > 300;
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const digit of few ? [1] : [1, 2, 5]) {
      const tick = digit * 10 ** power;
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}

function evenTicks(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((digit) => digit * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.ceil(high / step) + 1 }, (_, index) => index * step);
}

/** Labels at least a line apart. */
function spread<T extends { readonly at: number }>(
  labels: readonly T[],
): (T & { labelAt: number })[] {
  const LINE = 16;
  const placed = labels
    .toSorted((a, b) => a.at - b.at)
    .map((label) => ({ ...label, labelAt: label.at }));
  for (let i = 1; i < placed.length; i++) {
    const [above, label] = [placed[i - 1], placed[i]];
    if (above !== undefined && label !== undefined) {
      label.labelAt = Math.max(label.labelAt, above.labelAt + LINE);
    }
  }
  const over = (placed.at(-1)?.labelAt ?? 0) - (HEIGHT - BOTTOM);
  return placed.map((label) => ({ ...label, labelAt: label.labelAt - Math.max(0, over) }));
}

function gridX(axis: Axis, { place, ticks }: Scale): string[] {
  return [
    ...ticks.map((tick) => {
      const x = fix(place(tick));
      return `<path d="M${x} ${TOP}V${HEIGHT - BOTTOM}" stroke="${INK}" stroke-width="0.5" opacity="0.35"/>${text(place(tick), HEIGHT - BOTTOM + 18, short(tick), "middle")}`;
    }),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, axis.label, "middle"),
  ];
}

function gridY(axis: Axis, { place, ticks }: Scale): string[] {
  return [
    ...ticks.map((tick) => {
      const y = fix(place(tick));
      return `<path d="M${LEFT} ${y}H${WIDTH - RIGHT}" stroke="${INK}" stroke-width="0.5" opacity="0.35"/>${text(LEFT - 8, place(tick) + 4, short(tick), "end")}`;
    }),
    text(LEFT - 8, TOP - 12, axis.label, "start"),
  ];
}

function text(
  x: number,
  y: number,
  words: string,
  anchor: "start" | "middle" | "end",
  fill = INK,
  bold = false,
): string {
  const weight = bold ? ' font-weight="700"' : "";
  return `<text x="${fix(x)}" y="${fix(y)}" text-anchor="${anchor}" fill="${fill}"${weight}>${escape(words)}</text>`;
}

function frame(title: string, parts: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${escape(title)}" font-family="system-ui, sans-serif" font-size="12">\n` +
    `<text x="${LEFT - 8}" y="18" fill="${INK}" font-size="14" font-weight="600">${escape(title)}</text>\n` +
    `${parts.join("\n")}\n</svg>\n`
  );
}

/** A tick's number: ticks are round. */
function short(tick: number): string {
  return Number(tick.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 6 });
}

function fix(value: number): string {
  return value.toFixed(1);
}

function escape(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
