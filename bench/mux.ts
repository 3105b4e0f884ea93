/**
 * Two kernels joined by two arrays: what a frame costs with many streams open, how fairly streams share, how much talk
 * the credit takes. No bytes are encoded and no socket is involved.
 */
import { Budget } from "../codec/budget.ts";
import type { Frame } from "../codec/frame.ts";
import { Mux } from "../codec/mux.ts";
import type { Stream } from "../codec/stream.ts";
import { loopRow, type Variant } from "./loops.ts";
import { figuresOf } from "./measure.ts";
import type { Plan } from "./plan.ts";
import type { Row } from "./row.ts";
import { slice } from "./site/pattern.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

const request = { method: "GET", path: "/", headers: [], length: "none" } as const;
const response = { status: 200, reason: "OK", headers: [], length: "unknown" } as const;

export async function muxRows(plan: Plan, only: string): Promise<Row[]> {
  const rows: Row[] = [];
  const counts = [1, 100, 1000, 10_000];
  // The same row for every number of streams, each as a variant: what it is compared with is itself.
  const idle = (): Variant[] => counts.map((open) => frames(open, 1));
  const busy = (): Variant[] => counts.map((open) => frames(open, open));
  if ("one busy stream".includes(only)) {
    rows.push(...(await loopRow("mux", "frame of one busy stream", idle(), plan)));
  }
  if ("all streams busy".includes(only)) {
    rows.push(...(await loopRow("mux", "frame, all streams busy", busy(), plan)));
  }
  if ("fairness".includes(only)) rows.push(fairness(100), latecomer());
  if ("credit".includes(only)) rows.push(credit(0.2), credit(50), credit(150));
  return rows;
}

/** The end that asks and the end that answers, on a clock of their own. */
class Pair {
  readonly asking = new Mux<undefined>({
    acceptStreams: 0,
    requestCreditBytes: 0,
    budget: new Budget(1024 * MiB),
  });
  readonly answering = new Mux<undefined>({
    acceptStreams: 20_000,
    requestCreditBytes: 16 * KiB,
    budget: new Budget(1024 * MiB),
  });
  nowMs = 0;

  constructor() {
    this.asking.allow(20_000, 16 * KiB);
  }

  /** Opens a stream whose answer has begun; returns both ends of it. */
  open(): { reader: Stream<undefined>; writer: Stream<undefined> } {
    const reader = this.asking.open(request, this.nowMs);
    let writer: Stream<undefined> | undefined;
    for (let frame = this.asking.poll(); frame !== undefined; frame = this.asking.poll()) {
      const event = this.answering.receive(notHello(frame), this.nowMs);
      if (event?.kind === "opened") writer = event.stream;
    }
    if (writer === undefined) throw new Error("a stream was not opened");
    this.answering.respond(writer, response);
    this.deliver();
    return { reader, writer };
  }

  /** Brings what the answering end has to the asking one. */
  deliver(): void {
    for (let frame = this.answering.poll(); frame !== undefined; frame = this.answering.poll()) {
      this.asking.receive(notHello(frame), this.nowMs);
    }
  }

  /** Brings credit back. */
  giveBack(): void {
    for (let frame = this.asking.poll(); frame !== undefined; frame = this.asking.poll()) {
      this.answering.receive(notHello(frame), this.nowMs);
    }
  }
}

function notHello(frame: Frame): Exclude<Frame, { kind: "hello" }> {
  if (frame.kind === "hello") throw new Error("kernels say no HELLO");
  return frame;
}

/** A DATA frame from writer to reader and its credit back, with `open` streams of which `busy` take turns. */
function frames(open: number, busy: number): Variant {
  const pair = new Pair();
  const streams = Array.from({ length: open }, () => pair.open());
  const bytes = slice(0, 256);
  let turn = 0;
  const run = (times: number): void => {
    for (let i = 0; i < times; i++) {
      const stream = streams[turn++ % busy];
      if (stream === undefined) throw new Error("no stream");
      pair.answering.write(stream.writer, bytes);
      pair.deliver();
      while (pair.asking.read(stream.reader, pair.nowMs, 1) !== undefined);
      pair.giveBack();
    }
  };
  return { system: `${open} open`, kind: "ours", run };
}

/** How evenly streams that all want everything share: Jain's index, 1 when all got the same. */
function fairness(streams: number): Row {
  const pair = new Pair();
  const ends = new Map(
    Array.from({ length: streams }, () => pair.open()).map((end) => [end.writer.id, end]),
  );
  const got = new Map<number, number>();
  for (const { writer } of ends.values()) pair.answering.write(writer, slice(0, 64 * KiB));
  for (let total = 0; total < streams * MiB;) {
    const frame = pair.answering.poll();
    const end = frame?.kind === "data" ? ends.get(frame.stream) : undefined;
    if (frame?.kind !== "data" || end === undefined)
      throw new Error("a stream has nothing to send");
    total += frame.bytes.length;
    got.set(frame.stream, (got.get(frame.stream) ?? 0) + frame.bytes.length);
    // The reader takes it and gives its credit back, the writer has the next at once.
    pair.asking.receive(frame, pair.nowMs);
    while (pair.asking.read(end.reader, pair.nowMs, 1) !== undefined);
    pair.giveBack();
    if (end.writer.outbox.queuedBytes === 0) pair.answering.write(end.writer, slice(0, 64 * KiB));
  }
  const shares = [...got.values()];
  const sum = shares.reduce((a, b) => a + b, 0);
  const squares = shares.reduce((a, b) => a + b * b, 0);
  return {
    subject: "mux",
    name: `fairness of ${streams} bulk streams`,
    system: "sluice",
    kind: "ours",
    figures: figuresOf([{ jain: sum ** 2 / (streams * squares) }], { jain: ["Jain", "more"] }),
  };
}

/** How many bytes of others go first when a small answer becomes ready beside 8 bulk streams. */
function latecomer(): Row {
  const pair = new Pair();
  for (let i = 0; i < 8; i++) {
    const { writer } = pair.open();
    for (let k = 0; k < 8; k++) pair.answering.write(writer, slice(0, 64 * KiB));
  }
  const small = pair.open();
  // The bulk streams are in the middle of their turns when it comes.
  for (let i = 0; i < 20; i++) pair.answering.poll();
  pair.answering.write(small.writer, slice(0, 128));
  let before = 0;
  for (;;) {
    const frame = pair.answering.poll();
    if (frame?.kind !== "data") throw new Error("the small answer never came");
    if (frame.stream === small.writer.id) break;
    before += frame.bytes.length;
  }
  return {
    subject: "mux",
    name: "small answer beside 8 bulk streams",
    system: "sluice",
    kind: "ours",
    figures: figuresOf([{ waitKiB: before / KiB }], { waitKiB: ["KiB before it", "less"] }),
  };
}

/** A download of 64 MiB on a clock without a bandwidth: how many round trips it takes, and how many CREDIT frames. */
function credit(rttMs: number): Row {
  const pair = new Pair();
  const total = 64 * MiB;
  const { reader, writer } = pair.open();
  const toReader: { atMs: number; frame: Frame }[] = [];
  const toWriter: { atMs: number; frame: Frame }[] = [];
  let written = 0;
  let read = 0;
  let credits = 0;
  const begin = pair.nowMs;
  while (read < total) {
    while (
      written < total &&
      writer.outbox.queuedBytes < 128 * KiB &&
      writer.outbox.credit.bytes > 0
    ) {
      pair.answering.write(writer, slice(written, 64 * KiB));
      written += 64 * KiB;
      for (let frame = pair.answering.poll(); frame !== undefined; frame = pair.answering.poll()) {
        toReader.push({ atMs: pair.nowMs + rttMs / 2, frame });
      }
    }
    const next = Math.min(toReader[0]?.atMs ?? Infinity, toWriter[0]?.atMs ?? Infinity);
    if (next === Infinity) throw new Error("nothing moves any more");
    pair.nowMs = Math.max(pair.nowMs, next);
    while ((toReader[0]?.atMs ?? Infinity) <= pair.nowMs) {
      const arrived = toReader.shift();
      if (arrived !== undefined) pair.asking.receive(notHello(arrived.frame), pair.nowMs);
      for (;;) {
        const chunk = pair.asking.read(reader, pair.nowMs, rttMs);
        if (chunk === undefined) break;
        read += chunk.length;
      }
      for (let frame = pair.asking.poll(); frame !== undefined; frame = pair.asking.poll()) {
        credits++;
        toWriter.push({ atMs: pair.nowMs + rttMs / 2, frame });
      }
    }
    while ((toWriter[0]?.atMs ?? Infinity) <= pair.nowMs) {
      const arrived = toWriter.shift();
      if (arrived !== undefined) pair.answering.receive(notHello(arrived.frame), pair.nowMs);
    }
    for (let frame = pair.answering.poll(); frame !== undefined; frame = pair.answering.poll()) {
      toReader.push({ atMs: pair.nowMs + rttMs / 2, frame });
    }
  }
  const figures = {
    roundTrips: (pair.nowMs - begin) / rttMs,
    creditsPerMiB: credits / (total / MiB),
    windowMiB: reader.inbox.credit.windowBytes / MiB,
  };
  return {
    subject: "mux",
    name: `credit of 64 MiB at ${rttMs} ms`,
    system: "sluice",
    kind: "ours",
    figures: figuresOf([figures], {
      roundTrips: ["round trips", "less"],
      creditsPerMiB: ["CREDIT/MiB", "less"],
      windowMiB: ["MiB", "more"],
    }),
  };
}
