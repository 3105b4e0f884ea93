/**
 * Visitors who stay: WebSockets whose messages the origin echoes, and event streams beside them, all at once. What they
 * send is spread evenly over time, and nobody waits for an answer before the next message is due.
 */
import { once } from "node:events";
import { createHistogram } from "node:perf_hooks";
import { WebSocket } from "ws";
import { smallBody } from "../site/pattern.ts";
import { pause } from "../measure.ts";
import { readEvents } from "./events.ts";
import type { Job, JobResult, Target } from "./job.ts";

/** Sockets that are opened at once: a site does not get all its visitors in one instant. */
const OPENED_AT_ONCE = 50;

/** How long the last echoes may take. */
const PATIENCE_MS = 10_000;

/** How often it is looked whether messages are due. */
const TICK_MS = 1;

export async function runSockets(job: Job & { kind: "sockets" }): Promise<JobResult> {
  const { target, everyMs, streams, eventEveryMs, warmMs, ms } = job;
  const echoes = createHistogram({ lowest: 1, highest: 600e9, figures: 3 });
  const events = createHistogram({ lowest: 1, highest: 600e9, figures: 3 });
  const visitors: Visitor[] = [];
  try {
    while (visitors.length < job.sockets) {
      const some = Math.min(OPENED_AT_ONCE, job.sockets - visitors.length);
      visitors.push(
        ...(await Promise.all(Array.from({ length: some }, () => Visitor.open(target)))),
      );
    }
    const startMs = performance.now() + eventEveryMs + warmMs;
    const record = (histogram: typeof echoes, ns: number): void => {
      if (performance.now() >= startMs) histogram.record(ns);
    };
    const count = Math.ceil((eventEveryMs + warmMs + ms) / eventEveryMs);
    const readers: Promise<void>[] = [];
    const opening = spread(streams, eventEveryMs / streams, () => {
      readers.push(readEvents(target, eventEveryMs, count, (ns) => record(events, ns)));
    });
    await Promise.all([opening, pause(eventEveryMs)]);
    const messages = Math.round(((warmMs + ms) / everyMs) * visitors.length);
    const sending = spread(messages, everyMs / visitors.length, (i) => {
      visitors[i % visitors.length]?.send((ns) => record(echoes, ns));
    });
    await Promise.all([...readers, sending]);
    await Promise.all(visitors.map((visitor) => visitor.answered()));
    return {
      p50Ms: echoes.percentile(50) / 1e6,
      p99Ms: echoes.percentile(99) / 1e6,
      eventP50Ms: events.percentile(50) / 1e6,
      eventP99Ms: events.percentile(99) / 1e6,
    };
  } finally {
    await Promise.all(visitors.map((visitor) => visitor.close()));
  }
}

/** Does something `times` times, each `everyMs` after the other by the clock, however late a timer is. */
async function spread(times: number, everyMs: number, act: (i: number) => void): Promise<void> {
  const beginMs = performance.now();
  for (let i = 0; i < times;) {
    const due = Math.min(times, (performance.now() - beginMs) / everyMs);
    while (i < due) act(i++);
    await pause(TICK_MS);
  }
}

interface Awaited {
  readonly text: string;
  readonly sent: bigint;
  readonly arrived: (ns: number) => void;
}

/** One WebSocket: every message comes back, in order. */
class Visitor {
  readonly #ws: WebSocket;
  readonly #awaited: Awaited[] = [];
  #count = 0;
  #fault: Error | undefined;

  private constructor(ws: WebSocket) {
    this.#ws = ws;
    ws.on("message", (data: Buffer) => this.#receive(data.toString()));
    ws.on("error", (error) => this.#fail(error));
    ws.on("close", () => this.#fail(new Error("a WebSocket was closed")));
  }

  static async open({ port, prefix, host }: Target): Promise<Visitor> {
    const ws = new WebSocket(`ws://127.0.0.1:${port}${prefix}/echo`, {
      perMessageDeflate: false,
      ...(host === undefined ? {} : { headers: { host } }),
    });
    await once(ws, "open");
    return new Visitor(ws);
  }

  send(arrived: (ns: number) => void): void {
    const text = smallBody(`${this.#count++}`);
    this.#awaited.push({ text, sent: process.hrtime.bigint(), arrived });
    this.#ws.send(text);
  }

  #receive(text: string): void {
    const now = process.hrtime.bigint();
    const awaited = this.#awaited.shift();
    if (awaited === undefined || awaited.text !== text) {
      this.#fail(new Error(`an echo is ${JSON.stringify(text.slice(0, 60))}`));
      return;
    }
    awaited.arrived(Math.max(1, Number(now - awaited.sent)));
  }

  #fail(error: Error): void {
    this.#fault ??= error;
  }

  /** Resolves when every message has come back. @throws Error when one did not, or something else did. */
  async answered(): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (this.#fault === undefined && this.#awaited.length > 0) {
      if (performance.now() > deadlineMs) this.#fail(new Error("a message was not echoed"));
      await pause(TICK_MS);
    }
    if (this.#fault !== undefined) throw this.#fault;
  }

  async close(): Promise<void> {
    if (this.#ws.readyState === WebSocket.CLOSED) return;
    const closed = once(this.#ws, "close");
    this.#ws.close();
    await Promise.race([closed, pause(PATIENCE_MS)]);
    this.#ws.terminate();
  }
}
