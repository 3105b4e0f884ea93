/**
 * The load generator: a process of its own, so that what it spends is not charged to the one that asks.
 */
import { answerQuestions } from "../process.ts";
import { release, runDownloads, runStalled, runUploads } from "./bulk.ts";
import { runEvents } from "./events.ts";
import type { Job, JobResult } from "./job.ts";
import { runSmall } from "./small.ts";
import { runSockets } from "./sockets.ts";

answerQuestions<Job, JobResult>((job) => {
  switch (job.kind) {
    case "small":
      return runSmall(job);
    case "download":
      return runDownloads(job);
    case "upload":
      return runUploads(job);
    case "events":
      return runEvents(job);
    case "sockets":
      return runSockets(job);
    case "stall":
      return runStalled(job);
    case "release":
      release();
      return {};
  }
});
