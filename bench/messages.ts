/**
 * How many WebSocket messages come in at the edge for each request and each MiB: what Cloudflare bills a Durable Object
 * for. Counted from outside, by a relay between agent and edge.
 */
import { figuresOf, type Sample, type Units } from "./measure.ts";
import type { Plan } from "./plan.ts";
import type { Row } from "./row.ts";
import type { Progress } from "./rows.ts";
import type { Sluice } from "./sluice.ts";
import { download, type Generators, small } from "./tunnel.ts";

const MiB = 1024 ** 2;

const units: Units = {
  perRequest: ["messages/req", "less"],
  perMiB: ["messages/MiB", "less"],
};

export async function messageRows(
  sluice: Sluice,
  { measured }: Generators,
  plan: Plan,
  progress: Progress,
): Promise<Row[]> {
  const { relay, target } = sluice;
  if (relay === undefined) throw new Error("messages are counted by a relay");
  const counted = async (
    name: string,
    work: () => Promise<Readonly<Record<string, number>>>,
    sampleOf: (messages: number, done: Readonly<Record<string, number>>) => Sample,
  ): Promise<Row> => {
    progress(`messages · ${name} · sluice`);
    const before = await relay.ask(undefined);
    const done = await work();
    const after = await relay.ask(undefined);
    const sample = sampleOf(after.messages - before.messages, done);
    const figures = figuresOf([sample], units);
    return { subject: "messages", name, system: "sluice", kind: "ours", figures };
  };
  const nothing = Number.NaN;
  const perRequest = (messages: number, { requests = nothing }): Sample => ({
    perRequest: messages / requests,
  });
  const perMiB = (messages: number, { bytes = nothing }): Sample => ({
    perMiB: messages / (bytes / MiB),
  });
  const rows: Row[] = [];
  for (const concurrency of [1, 64]) {
    const name = `small, c=${concurrency}`;
    rows.push(
      await counted(name, () => measured.ask(small(sluice, plan, concurrency)), perRequest),
    );
  }
  for (const streams of [1, 8]) {
    const name = `download, ${streams}`;
    const job = { ...download(sluice, plan, streams), bytes: plan.uploadBytes, ms: 60_000 };
    rows.push(await counted(name, () => measured.ask(job), perMiB));
  }
  const bytes = plan.uploadBytes;
  rows.push(
    await counted(
      "upload, 1",
      () => measured.ask({ kind: "upload", target, streams: 1, bytes, ms: 60_000 }),
      perMiB,
    ),
  );
  return rows;
}
