/** The token as its holder can read it: whom it is for, and until when. Nothing of it but its claims is ever shown. */
import { showMs } from "../config/duration.ts";
import { exits, UsageError } from "../config/usage.ts";
import { claimsOf, flawOf, makeToken } from "../connection/refused-token.ts";
import { type Check, fail, type Finding, ok, warn } from "./check.ts";
import type { Scene } from "./scene.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Time enough to make another one before this one ends. */
const SOON_MS = 3 * DAY_MS;

export const token: Check = {
  name: "token",
  title: "token",
  needs: ["configuration"],
  target: ({ config }) => config.service,
  run: (scene) => look(scene, Date.now()),
};

async function look(scene: Scene, nowMs: number): Promise<Finding> {
  const { service } = scene.config;
  let text: string;
  try {
    text = await scene.readToken();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const action = `Give --token-file with what ${makeToken(service)} prints, or set AGENT_TOKEN.`;
    return fail(error.message, action, { exit: exits.usage });
  }
  scene.found.token = text;
  const claims = claimsOf(text);
  const flaw = flawOf(text, service, nowMs);
  const data = claims === undefined ? {} : { claims };
  if (flaw !== undefined || claims === undefined) {
    const action = `Make another one with ${makeToken(service)}, signed with the edge's secret.`;
    return fail(flaw ?? "", action, { exit: exits.authentication, data });
  }
  const leftMs = claims.exp * 1000 - nowMs;
  const until = new Date(claims.exp * 1000).toISOString().slice(0, 10);
  const left = shown(leftMs);
  const details = `role ${claims.role}, expires in ${left} (${until})`;
  if (leftMs > SOON_MS) return ok(details, data);
  return warn(details, `Make another one with ${makeToken(service)} before it ends.`, data);
}

function shown(ms: number): string {
  if (ms < 2 * HOUR_MS) return showMs(ms);
  return ms < 2 * DAY_MS ? `${Math.round(ms / HOUR_MS)} h` : `${Math.round(ms / DAY_MS)} days`;
}
