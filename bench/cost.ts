/**
 * What it costs on Cloudflare, from the messages, the CPU and the time that were measured here, at published prices.
 *
 * Measured on this machine, so the CPU is an upper bound: it is the whole workerd process with its sockets, where
 * Cloudflare bills what the Worker's own code takes.
 */
import { figureOf, type Row } from "./row.ts";
import { downloadRow, smallRow, uploadRow } from "./tunnel.ts";

/** Dollars, Workers Paid, beyond what is included; November 2026. */
export const prices = {
  perMillionWorkerRequests: 0.3,
  perMillionCpuMs: 0.02,
  /** Requests, and incoming WebSocket messages at twenty to one. */
  perMillionObjectRequests: 0.15,
  messagesPerObjectRequest: 20,
  perMillionGbS: 12.5,
  /** What an object is billed for while it is active, whatever it uses. */
  objectGb: 0.128,
} as const;

export interface CostLine {
  readonly what: string;
  readonly dollars: number;
  /** What it is made of, in dollars. */
  readonly parts: Readonly<Record<string, number>>;
}

const MiB = 1024 ** 2;
const TB = 1e12;
const MILLION = 1e6;

export function costOfRows(rows: readonly Row[]): CostLine[] {
  const get = (subject: "tunnel" | "messages", name: string, figure: string): number =>
    figureOf(rows, subject, name, "sluice", figure) ?? Number.NaN;
  const busy = smallRow(64);
  const alone = smallRow(1);
  const cpuMs = (get("tunnel", busy, "edgeUsPerRequest") * MILLION) / 1000;
  const request = (messages: number, activeS: number): Record<string, number> => ({
    "Worker requests": prices.perMillionWorkerRequests,
    "Worker CPU": (cpuMs / MILLION) * prices.perMillionCpuMs,
    "object requests": prices.perMillionObjectRequests,
    messages: messageDollars(messages * MILLION),
    duration: durationDollars(activeS),
  });
  const terabyte = (name: string, mbPerS: number): Record<string, number> => ({
    messages: messageDollars((get("messages", name, "perMiB") * TB) / MiB),
    duration: durationDollars(TB / MILLION / mbPerS),
  });
  const perSecond = get("tunnel", busy, "perSecond");
  const aloneS = (get("tunnel", alone, "p50Ms") * MILLION) / 1000;
  const [down, up] = [downloadRow(1), uploadRow(1)];
  return [
    line(
      "1 M small requests, 64 at a time",
      request(get("messages", busy, "perRequest"), MILLION / perSecond),
    ),
    line(
      "1 M small requests, one at a time",
      request(get("messages", alone, "perRequest"), aloneS),
    ),
    line("1 TB down, at the speed measured", terabyte(down, get("tunnel", down, "mbPerS"))),
    line("1 TB down, to one visitor at 10 MB/s", terabyte(down, 10)),
    line("1 TB up, at the speed measured", terabyte(up, get("tunnel", up, "mbPerS"))),
    line("1 TB up, from one visitor at 10 MB/s", terabyte(up, 10)),
  ].filter(({ dollars }) => Number.isFinite(dollars));
}

function messageDollars(messages: number): number {
  return (messages / prices.messagesPerObjectRequest / MILLION) * prices.perMillionObjectRequests;
}

function durationDollars(activeS: number): number {
  return ((activeS * prices.objectGb) / MILLION) * prices.perMillionGbS;
}

function line(what: string, parts: Record<string, number>): CostLine {
  return { what, parts, dollars: Object.values(parts).reduce((sum, part) => sum + part, 0) };
}
