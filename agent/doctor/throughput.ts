/**
 * How much goes through the tunnel, one way at a time: bytes of the edge's own through the same Worker, object and
 * WebSocket as visitors' bytes, but an object that no visitor's request comes to (`edge/probe.ts`). A running agent
 * neither loses a request to it nor gets one.
 *
 * Bounded both ways, by `MOST_BYTES` and by `MOST_MS`.
 */
import { randomBytes } from "node:crypto";
import * as v from "valibot";
import type { Exchange } from "../../codec/exchange.ts";
import { showBytes } from "../config/duration.ts";
import { type ClientError, faultReason } from "../origin/fault.ts";
import { ask } from "./ask.ts";
import { type Check, type Finding, ok, sinceMs, skip, warn } from "./check.ts";
import type { EdgeSocket } from "./edge-socket.ts";
import type { Scene } from "./scene.ts";

const MOST_BYTES = 8 * 1024 * 1024;
const MOST_MS = 2000;

/** What was sent until then may still be on a slow line. */
const WITHIN_MS = 15_000;

const CHUNK = 64 * 1024;

/** Below it a page with pictures takes a minute. */
const SLOW_BITS = 1_000_000;

const answer = v.object({ received: v.number(), whole: v.boolean() });

export const throughput: Check = {
  name: "throughput",
  title: "throughput",
  needs: ["round-trip"],
  target: () => `${showBytes(MOST_BYTES)} or ${MOST_MS / 1000} s each`,
  run: look,
};

/** How much passed in which time, and how fast once it was under way. */
interface Amount {
  readonly bytes: number;
  readonly ms: number;
  /** In the latter half of that time: in the first one windows grow on a long path, TCP's and ours. */
  readonly bitsPerSecond: number;
}

/** Bytes as they pass. */
class Meter {
  readonly #startMs = performance.now();
  readonly #marks: { readonly ms: number; readonly bytes: number }[] = [];

  /** So many have passed by now. */
  mark(bytes: number): void {
    this.#marks.push({ ms: this.ms, bytes });
  }

  get ms(): number {
    return sinceMs(this.#startMs);
  }

  /** All have passed. */
  amount(bytes: number): Amount {
    const { ms } = this;
    const half = this.#marks.findLast((mark) => mark.ms <= ms / 2) ?? { ms: 0, bytes: 0 };
    const bitsPerSecond = Math.round(((bytes - half.bytes) * 8000) / Math.max(ms - half.ms, 0.1));
    return { bytes, ms, bitsPerSecond };
  }
}

/** Why it could not be measured. */
class Unmeasured extends Error {}

async function look(scene: Scene): Promise<Finding> {
  const { opening } = scene.found;
  if (opening?.kind !== "open") return skip("no connection came to be");
  try {
    return judged(await measureUp(scene, opening.socket), await measureDown(scene, opening.socket));
  } catch (error) {
    const why = error instanceof Unmeasured ? error.message : faultReason(error as ClientError);
    return warn(`not measured: ${why}`, "Try again; if it stays so, look at the edge's log.");
  }
}

function judged(up: Amount, down: Amount): Finding {
  const details = `up ${shown(up)} (what visitors download), down ${shown(down)}`;
  const data = { up, down };
  if (Math.min(up.bitsPerSecond, down.bitsPerSecond) >= SLOW_BITS) return ok(details, data);
  const action = "The line is slow, or busy with something else: all visitors share it.";
  return warn(details, action, data);
}

/** Bytes to the edge. It answers when it has read all of them. */
async function measureUp(scene: Scene, socket: EdgeSocket): Promise<Amount> {
  const chunk = randomBytes(CHUNK);
  let meter = new Meter();
  let bytes = 0;
  const { received, whole } = await probe(scene, socket, 0, async (exchange) => {
    const { outgoing } = exchange;
    meter = new Meter();
    exchange.respond({ status: 200, reason: "OK", headers: [], length: "unknown" });
    while (bytes < MOST_BYTES && meter.ms < MOST_MS) {
      bytes += chunk.length;
      if (!outgoing.write(chunk)) await outgoing.ready();
      meter.mark(bytes - outgoing.queuedBytes);
    }
    outgoing.end();
  });
  if (!whole || received !== bytes) throw new Unmeasured("bytes were lost on the way");
  return meter.amount(bytes);
}

/** Bytes from the edge, from the first that comes. */
async function measureDown(scene: Scene, socket: EdgeSocket): Promise<Amount> {
  let amount: Amount | undefined;
  await probe(scene, socket, MOST_BYTES, async (exchange) => {
    let meter: Meter | undefined;
    let bytes = 0;
    for await (const part of exchange.incoming) {
      if (meter === undefined) {
        meter = new Meter();
        continue;
      }
      bytes += part.length;
      meter.mark(bytes);
      if (meter.ms >= MOST_MS) break;
    }
    amount = meter?.amount(bytes);
    exchange.respond({ status: 200, reason: "OK", headers: [], length: "none" });
    exchange.incoming.decline();
  });
  if (amount === undefined) throw new Unmeasured("no bytes came");
  return amount;
}

/** Has the edge send a request with so many bytes to `socket`, and returns what it says of the answer's body. */
async function probe(
  scene: Scene,
  socket: EdgeSocket,
  bytes: number,
  serve: (exchange: Exchange) => Promise<void>,
): Promise<{ readonly received: number; readonly whole: boolean }> {
  const word = randomBytes(16).toString("base64url");
  socket.serve = (exchange) => {
    // That of another doctor who measures now.
    if (exchange.request.path !== `/${word}`) exchange.cancel("draining");
    // What ends it early shows in the edge's answer.
    else serve(exchange).catch(() => {});
  };
  try {
    const target = `/probe/${scene.config.service}?bytes=${bytes}&to=${word}`;
    const { status, headers, body } = await ask(scene, target, WITHIN_MS);
    const code = headers["sluice-error"];
    if (code !== undefined) throw new Unmeasured(`the edge answers ${status} (${String(code)})`);
    if (status !== 200) throw new Unmeasured(`something answers ${status} in the edge's place`);
    return v.parse(answer, JSON.parse(body));
  } finally {
    socket.serve = undefined;
  }
}

function shown({ bitsPerSecond }: Amount): string {
  const mega = bitsPerSecond / 1e6;
  return `${mega.toFixed(mega < 1 ? 2 : mega < 10 ? 1 : 0)} Mbit/s`;
}
