/**
 * Large bodies, both ways, checked as they pass.
 */
import type { Socket } from "node:net";
import { Checker } from "../site/checker.ts";
import { slice } from "../site/pattern.ts";
import type { Job, JobResult, Target } from "./job.ts";
import { requestHead, visit } from "./visit.ts";

const WRITE_BYTES = 256 * 1024;

/** What "release" ends. */
const underWay = new Set<AbortController>();

export function release(): void {
  for (const controller of underWay) controller.abort();
}

export async function runDownloads(job: Job & { kind: "download" }): Promise<JobResult> {
  const controller = new AbortController();
  underWay.add(controller);
  const timer = setTimeout(() => controller.abort(), job.ms);
  const startMs = performance.now();
  let firstByteMs = Number.NaN;
  let lastByteMs = startMs;
  try {
    const checkers = await Promise.all(
      Array.from({ length: job.streams }, async () => {
        const checker = new Checker();
        await download(job.target, job.bytes, checker, controller.signal, () => {
          lastByteMs = performance.now();
          if (Number.isNaN(firstByteMs)) firstByteMs = lastByteMs - startMs;
        });
        return checker;
      }),
    );
    const bytes = checkers.reduce((sum, checker) => sum + checker.bytes, 0);
    return { bytes, elapsedMs: lastByteMs - startMs, firstByteMs };
  } finally {
    clearTimeout(timer);
    underWay.delete(controller);
  }
}

async function download(
  target: Target,
  bytes: number,
  checker: Checker,
  signal: AbortSignal,
  seen: () => void,
): Promise<void> {
  const onBody = (piece: Buffer): void => {
    checker.push(piece);
    seen();
  };
  await visit(target, requestHead(target, `/bytes/${bytes}`), onBody, signal);
  if (!signal.aborted && checker.bytes !== bytes) {
    throw new Error(`a download has ${checker.bytes} of ${bytes} bytes`);
  }
}

export async function runUploads(job: Job & { kind: "upload" }): Promise<JobResult> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), job.ms);
  const startMs = performance.now();
  try {
    await Promise.all(
      Array.from({ length: job.streams }, () => upload(job.target, job.bytes, controller.signal)),
    );
  } finally {
    clearTimeout(timer);
  }
  if (controller.signal.aborted) throw new Error(`an upload takes longer than ${job.ms} ms`);
  return { bytes: job.streams * job.bytes, elapsedMs: performance.now() - startMs };
}

async function upload(target: Target, bytes: number, signal: AbortSignal): Promise<void> {
  let said = "";
  const head = requestHead(target, "/upload", "POST", bytes);
  await visit(
    target,
    head,
    (piece) => {
      said += piece.toString("latin1");
    },
    signal,
    (socket) => sendBody(socket, bytes),
  );
  if (!signal.aborted && said !== `received ${bytes}`) throw new Error(`the origin says: ${said}`);
}

function sendBody(socket: Socket, bytes: number): void {
  let sent = 0;
  const send = (): void => {
    while (sent < bytes && !socket.destroyed) {
      const piece = slice(sent, Math.min(WRITE_BYTES, bytes - sent));
      sent += piece.length;
      if (!socket.write(piece)) return;
    }
    socket.off("drain", send);
  };
  socket.on("drain", send);
  send();
}

/** Readers that ask for much and stop reading once the answer has begun. Resolves when they are released. */
export function runStalled(job: Job & { kind: "stall" }): Promise<JobResult> {
  const controller = new AbortController();
  underWay.add(controller);
  const sockets: Socket[] = [];
  const head = requestHead(job.target, `/bytes/${job.bytes}`);
  const visits = Array.from({ length: job.readers }, () => {
    let stalled: Socket | undefined;
    return visit(
      job.target,
      head,
      () => stalled?.pause(),
      controller.signal,
      (socket) => {
        stalled = socket;
        sockets.push(socket);
      },
    );
  });
  return Promise.all(visits)
    .then(() => ({ readers: sockets.length }))
    .finally(() => underWay.delete(controller));
}
