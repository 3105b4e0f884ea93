/** Whether a connection over which nothing passes stays: proxies and firewalls cut what they take for dead. */
import { showMs } from "../config/duration.ts";
import { IDLE_PING_MS } from "../connection/dial.ts";
import { type Check, fail, type Finding, ok, shortMs, sinceMs, skip, warn } from "./check.ts";
import type { Closed } from "./edge-socket.ts";
import { hopName, type Scene } from "./scene.ts";

/** How long the last ping may take. */
const PONG_WITHIN_MS = 5000;

export const idle: Check = {
  name: "idle",
  title: "idle survival",
  needs: ["round-trip"],
  target: ({ idleMs }) => `${showMs(idleMs)} of silence`,
  run: look,
};

async function look(scene: Scene): Promise<Finding> {
  const { idleMs, found } = scene;
  if (idleMs === 0) return skip("--idle 0");
  if (found.opening?.kind !== "open") return skip("no connection came to be");
  const { socket } = found.opening;
  const startMs = performance.now();
  const closed = await Promise.race([socket.closed, after(idleMs)]);
  const silentMs = sinceMs(startMs);
  if (closed !== undefined)
    return cut(
      scene,
      `cut after ${shown(silentMs)} of silence: ${by(scene, closed)}`,
      silentMs,
      closed,
    );
  const pongMs = await socket.ping(PONG_WITHIN_MS);
  if (pongMs !== undefined) {
    const more = idleMs < IDLE_PING_MS ? "; --idle 2m looks longer" : "";
    return ok(`still there after ${shown(silentMs)}, pong in ${shortMs(pongMs)}${more}`, {
      silentMs,
      pongMs,
    });
  }
  const way = scene.reach.proxy?.label ?? "a firewall or a router on the way";
  const details = `dead after ${shown(silentMs)} of silence, and nobody said so: ${way} has forgotten the connection`;
  return cut(scene, details, silentMs, undefined);
}

/** Who ended it, as far as that shows: only the ends of a WebSocket write close frames. */
function by({ reach }: Scene, { code, reason, fault }: Closed): string {
  if (code !== 1006 && code !== 1005) {
    return `the edge closed it with ${code}${reason === "" ? "" : ` (${reason})`}`;
  }
  const how = fault === undefined ? "ended without a close frame" : fault;
  const who =
    reach.proxy === undefined
      ? "something on the way, or the edge's machine,"
      : `${reach.proxy.label}, or something behind it,`;
  return `${who} broke it off (${how})`;
}

/** The agent pings often enough for what cuts later than that. */
function cut(scene: Scene, details: string, silentMs: number, closed: Closed | undefined): Finding {
  const data = { silentMs, ...closed };
  const every = IDLE_PING_MS / 1000;
  if (silentMs > IDLE_PING_MS) {
    return warn(
      details,
      `An agent that is connected pings every ${every} s: it does not meet this.`,
      data,
    );
  }
  const action = `An agent pings every ${every} s when idle, and would have to connect again and again: have idle connections of a minute allowed at ${hopName(scene)}.`;
  return fail(details, action, { data });
}

function shown(ms: number): string {
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : showMs(ms);
}

async function after(ms: number): Promise<undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  setTimeout(() => resolve(undefined), ms).unref();
  return promise;
}
