/**
 * Small requests at a fixed concurrency: each connection sends the next request when it has the answer to the last.
 * Every answer has to be the one to its request.
 */
import { createHistogram } from "node:perf_hooks";
import { SMALL_BYTES, smallBody } from "../site/pattern.ts";
import type { Job, JobResult } from "./job.ts";
import { ResponseReader } from "./response.ts";
import { dial, requestHead } from "./visit.ts";

let lastId = 0;

export async function runSmall(job: Job & { kind: "small" }): Promise<JobResult> {
  const latencies = createHistogram({ lowest: 1, highest: 600e9, figures: 3 });
  const startMs = performance.now() + job.warmMs;
  const endMs = startMs + job.ms;
  let inTime = 0;
  // What is answered after the warm-up counts. When time is up, what is still under way counts for the latencies, or the
  // slowest would not, but not for the rate.
  const record = (ms: number, wasInTime: boolean): void => {
    latencies.record(Math.max(1, Math.round(ms * 1e6)));
    if (wasInTime) inTime++;
  };
  const connections = Array.from({ length: job.concurrency }, () =>
    runConnection(job, startMs, endMs, record),
  );
  const counts = await Promise.all(connections);
  return {
    /** All requests, for what the CPU was spent on; the latencies and the rate are those after the warm-up. */
    requests: counts.reduce((sum, count) => sum + count, 0),
    perSecond: (inTime / job.ms) * 1000,
    p50Ms: milliseconds(latencies.percentile(50)),
    p99Ms: milliseconds(latencies.percentile(99)),
    maxMs: milliseconds(latencies.max),
  };
}

/** A histogram without values says 0, or nonsense. */
function milliseconds(ns: number): number {
  return ns > 0 ? ns / 1e6 : Number.NaN;
}

/** Resolves with the number of requests when the last one is answered. */
function runConnection(
  { target }: Job & { kind: "small" },
  startMs: number,
  endMs: number,
  record: (ms: number, inTime: boolean) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = dial(target);
    let body = "";
    let id = "";
    let sentMs = 0;
    let count = 0;
    const reader = new ResponseReader((piece) => {
      body += piece.toString("latin1");
    });
    const next = (): void => {
      id = `${process.pid}-${++lastId}`;
      body = "";
      sentMs = performance.now();
      socket.write(requestHead(target, `/small/${id}`));
    };
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.on("connect", next);
    socket.on("error", fail);
    socket.on("close", () => fail(new Error("a kept connection was closed")));
    socket.on("data", (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (error) {
        fail(error as Error);
        return;
      }
      if (!reader.done) return;
      if (body.length !== SMALL_BYTES || body !== smallBody(id)) {
        fail(new Error(`the answer to ${id} is ${JSON.stringify(body.slice(0, 60))}`));
        return;
      }
      const now = performance.now();
      count++;
      if (now >= startMs) record(now - sentMs, now <= endMs);
      if (now < endMs) {
        next();
      } else {
        resolve(count);
        socket.destroy();
      }
    });
  });
}
