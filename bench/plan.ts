/**
 * How much of everything is measured: the full plan, whose figures are published, and the quick one, which only shows
 * that all of it works.
 */

const MiB = 1024 * 1024;

export interface Plan {
  readonly quick: boolean;
  /** Rounds of what happens in memory, and how long each variant runs in one. */
  readonly memoryRounds: number;
  readonly memoryMs: number;
  /** Rounds of everything over sockets. */
  readonly rounds: number;
  /** Rounds of small requests beside something else, and of what is measured over a slow path. */
  readonly besideRounds: number;
  readonly pathRounds: number;
  readonly warmMs: number;
  readonly smallMs: number;
  readonly concurrencies: readonly number[];
  /** What one or all downloads of a row together are, and when they are cut. */
  readonly downloadBytes: number;
  readonly downloadMs: number;
  readonly uploadBytes: number;
  readonly uploadMs: number;
  readonly events: number;
  /** WebSockets and event streams that stay at once, and how long they are measured. */
  readonly sockets: number;
  readonly streams: number;
  readonly socketsMs: number;
  /** How long a stalled reader is watched. */
  readonly stallMs: number;
  readonly rttsMs: readonly number[];
  readonly mbitPerS: number;
  readonly withPeers: boolean;
}

export const fullPlan: Plan = {
  quick: false,
  memoryRounds: 15,
  memoryMs: 60,
  rounds: 6,
  besideRounds: 4,
  pathRounds: 3,
  warmMs: 250,
  smallMs: 1500,
  concurrencies: [1, 16, 64, 256],
  downloadBytes: 512 * MiB,
  downloadMs: 5000,
  uploadBytes: 128 * MiB,
  uploadMs: 20_000,
  events: 75,
  sockets: 500,
  streams: 100,
  socketsMs: 5000,
  stallMs: 12_000,
  rttsMs: [20, 50, 150],
  mbitPerS: 20,
  withPeers: true,
};

export const quickPlan: Plan = {
  quick: true,
  memoryRounds: 3,
  memoryMs: 8,
  rounds: 1,
  besideRounds: 1,
  pathRounds: 1,
  warmMs: 100,
  smallMs: 500,
  concurrencies: [1, 16, 64, 256],
  downloadBytes: 128 * MiB,
  downloadMs: 2000,
  uploadBytes: 64 * MiB,
  uploadMs: 20_000,
  events: 20,
  sockets: 100,
  streams: 20,
  socketsMs: 1000,
  stallMs: 4000,
  rttsMs: [20, 50, 150],
  mbitPerS: 20,
  withPeers: false,
};
