/**
 * Rows over sockets: the same work for each system, in rounds.
 */
import { figuresOf, interleave, pause, type Sample, type Units } from "./measure.ts";
import { undisturbed } from "./kernel.ts";
import type { Row, Subject } from "./row.ts";
import type { System } from "./system.ts";
import { mustRun } from "./work.ts";

/** Between two measurements: what was cut has to end, and the machine to come to rest. */
const REST_MS = 150;

export interface SocketRow {
  readonly subject: Subject;
  readonly name: string;
  readonly systems: readonly System[];
  readonly rounds: number;
  readonly units: Units;
  readonly measure: (system: System, round: number) => Promise<Sample>;
}

/** Told what is being measured, for progress. */
export type Progress = (what: string) => void;

export async function socketRow(row: SocketRow, progress: Progress): Promise<Row[]> {
  const { subject, name, systems, rounds, units } = row;
  // Peers are there to be beside us; what is ours and what it is held against has to be known better.
  const roundsOf = ({ kind }: System): number => (kind === "peer" ? Math.ceil(rounds / 2) : rounds);
  const repeated = new Map<System, number>();
  const outcomes = await interleave(
    systems,
    roundsOf,
    async (system, round) => {
      const measure = async (): Promise<Sample> => {
        mustRun(system);
        const sample = await row.measure(system, round);
        await pause(REST_MS);
        return sample;
      };
      // Readers that stall fill the kernel's buffers on purpose. A single round is a smoke test, not a measurement.
      if (rounds === 1 || name.includes("stalled")) return measure();
      return undisturbed(measure, () => {
        repeated.set(system, (repeated.get(system) ?? 0) + 1);
      });
    },
    (system, round) =>
      progress(`${subject} · ${name} · ${system.name} (${round + 1}/${roundsOf(system)})`),
  );
  return systems.map((system): Row => {
    const { samples, fault } = outcomes.get(system) ?? { samples: [], fault: "not measured" };
    const figures = figuresOf(samples, units);
    const times = repeated.get(system);
    return {
      subject,
      name,
      system: system.name,
      kind: system.kind,
      figures,
      ...(times === undefined ? {} : { repeated: times }),
      ...(fault === undefined ? {} : { fault }),
    };
  });
}
