/**
 * What Sluice has to reach, and how far it is from it. Every target is a ratio or a bound from one run; none is softened
 * here when it is missed.
 */
import { MEMCPY, MEMCPY_FRESH, OURS_INTO } from "./codec.ts";
import { BARE_256, BARE_64, HELLO, RELAY } from "./floor/floors.ts";
import { STALLED } from "./memory.ts";
import { LIMITED_RTT_MS, pathName } from "./path.ts";
import { SSH } from "./peers/ssh.ts";
import { figureOf, type Row, type Subject } from "./row.ts";
import {
  BESIDE_DOWNLOADS,
  besideStalled,
  downloadRow,
  smallRow,
  SOCKETS,
  uploadRow,
} from "./tunnel.ts";

export interface Verdict {
  /** What was asked for, in words. */
  readonly target: string;
  /** What came of it; undefined when it was not measured. */
  readonly value: number | undefined;
  readonly limit: number;
  readonly unit: string;
  /** Whether the limit is the most or the least that is allowed. */
  readonly bound: "at most" | "at least";
  readonly met: boolean | undefined;
}

const OURS = "sluice";
const MBIT_PER_S = 20;

/** The verdicts on Sluice, or on `of` in its place: what floors and peers reach of the same targets. */
export function verdictsOf(rows: readonly Row[], of = OURS): Verdict[] {
  const get = (subject: Subject, name: string, figure: string, system = of): number | undefined =>
    figureOf(rows, subject, name, system, figure);
  const best = (name: string, figure: string, pick: (...values: number[]) => number) => {
    const values = [BARE_64, BARE_256].flatMap((floor) => get("tunnel", name, figure, floor) ?? []);
    return values.length === 0 ? undefined : pick(...values);
  };
  const over = (a: number | undefined, b: number | undefined): number | undefined =>
    a === undefined || b === undefined ? undefined : a / b;
  const atLeast = (target: string, value: number | undefined, limit: number, unit = "×"): Verdict =>
    verdict(target, value, limit, unit, "at least");
  const atMost = (target: string, value: number | undefined, limit: number, unit = "×"): Verdict =>
    verdict(target, value, limit, unit, "at most");

  const [c1, c64] = [smallRow(1), smallRow(64)];
  const [down, up] = [downloadRow(1), uploadRow(1)];
  const at = (rttMs: number): string => `download, 1, ${pathName({ rttMs, mbitPerS: 0 })}`;
  const limited = pathName({ rttMs: LIMITED_RTT_MS, mbitPerS: MBIT_PER_S });
  const encode = "encode DATA 64 KiB";
  const frame = "frame of one busy stream";
  return [
    atLeast(
      "one download ÷ bare WebSocket",
      over(get("tunnel", down, "mbPerS"), best(down, "mbPerS", Math.max)),
      0.7,
    ),
    atLeast(
      "one download ÷ ssh -R",
      over(get("tunnel", down, "mbPerS"), get("tunnel", down, "mbPerS", SSH)),
      1.2,
    ),
    atMost(
      "edge CPU a GiB down ÷ bare WebSocket",
      over(get("tunnel", down, "edgeMsPerGiB"), best(down, "edgeMsPerGiB", Math.min)),
      1.3,
    ),
    atLeast(
      "one upload ÷ bare WebSocket",
      over(get("tunnel", up, "mbPerS"), best(up, "mbPerS", Math.max)),
      0.6,
    ),
    atMost(
      "c=64: edge CPU a request ÷ hello",
      over(get("tunnel", c64, "edgeUsPerRequest"), get("tunnel", c64, "edgeUsPerRequest", HELLO)),
      1.5,
    ),
    atLeast(
      "c=64: requests/s ÷ hello",
      over(get("tunnel", c64, "perSecond"), get("tunnel", c64, "perSecond", HELLO)),
      0.6,
    ),
    atMost("c=64: messages a request", get("messages", c64, "perRequest"), 1.1, ""),
    atMost(
      "c=1: p50 ÷ hello",
      over(get("tunnel", c1, "p50Ms"), get("tunnel", c1, "p50Ms", HELLO)),
      2,
    ),
    atMost(
      "500 WebSockets: p50 ÷ bare relay",
      over(get("tunnel", SOCKETS, "p50Ms"), get("tunnel", SOCKETS, "p50Ms", RELAY)),
      2,
    ),
    atMost(
      "100 event streams beside them: p50 ÷ bare relay",
      over(get("tunnel", SOCKETS, "eventP50Ms"), get("tunnel", SOCKETS, "eventP50Ms", RELAY)),
      2,
    ),
    atMost("beside 2 downloads: p50 ÷ idle", get("tunnel", BESIDE_DOWNLOADS, "p50OverIdle"), 4),
    atMost("beside 2 downloads: p99", get("tunnel", BESIDE_DOWNLOADS, "p99Ms"), 150, "ms"),
    atMost(
      "beside a stalled reader: p50 ÷ idle",
      get("tunnel", besideStalled(1), "p50OverIdle"),
      1.2,
    ),
    atLeast("50 ms: one download", get("path", at(50), "mbPerS"), 100, "MB/s"),
    atLeast(
      "50 ms: one download ÷ ssh -R",
      over(get("path", at(50), "mbPerS"), get("path", at(50), "mbPerS", SSH)),
      2.5,
    ),
    atLeast("150 ms: one download", get("path", at(150), "mbPerS"), 40, "MB/s"),
    atLeast(
      `${MBIT_PER_S} Mbit/s: share of the link`,
      over(get("path", `download, 1, ${limited}`, "mbPerS"), MBIT_PER_S / 8),
      0.95,
    ),
    atMost(
      `${MBIT_PER_S} Mbit/s: small beside a download ÷ idle`,
      get("path", `small beside a download, ${limited}`, "p50OverIdle"),
      2,
    ),
    atMost(
      "encode 64 KiB ÷ memcpy, both into memory at hand",
      over(get("codec", encode, "ns", OURS_INTO), get("codec", encode, "ns", MEMCPY)),
      1.5,
    ),
    atMost(
      "encode 64 KiB ÷ memcpy, both into fresh memory",
      over(get("codec", encode, "ns"), get("codec", encode, "ns", MEMCPY_FRESH)),
      1.5,
    ),
    // Without a copy a frame takes the same time whatever its size; the row itself fails when memory is not shared.
    atMost(
      "decode 256 KiB ÷ decode 1 KiB",
      over(get("codec", "decode DATA 256 KiB", "ns"), get("codec", "decode DATA 1 KiB", "ns")),
      1.5,
    ),
    atMost(
      "a frame with 10,000 streams open ÷ with 1",
      over(get("mux", frame, "ns", "10000 open"), get("mux", frame, "ns", "1 open")),
      1.5,
    ),
    atMost("stalled reader: edge grows by", get("memory", STALLED, "edgeGrowthMiB"), 16, "MiB"),
    atMost("stalled reader: agent grows by", get("memory", STALLED, "agentGrowthMiB"), 16, "MiB"),
  ];
}

function verdict(
  target: string,
  value: number | undefined,
  limit: number,
  unit: string,
  bound: Verdict["bound"],
): Verdict {
  const met =
    value === undefined ? undefined : bound === "at most" ? value <= limit : value >= limit;
  return { target, value, limit, unit, bound, met };
}
