/** Whether something takes connections at an origin, before anybody asks it for anything. */
import { connect } from "node:net";
import type { OriginAddress } from "../config/config.ts";
import type { AgentEvent } from "../events.ts";
import { faultReason } from "./fault.ts";

/** A server on this machine answers at once or refuses at once. */
const WITHIN_MS = 2000;

/** Connects once, sends nothing, and says how that went. Never rejects. */
export async function probeOrigin(
  { url, socketPath, label }: OriginAddress,
  withinMs = WITHIN_MS,
): Promise<AgentEvent & { readonly event: "origin" }> {
  const startedMs = performance.now();
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  const socket = socketPath === undefined ? connect({ host, port }) : connect({ path: socketPath });
  socket.setTimeout(withinMs, () => resolve("no answer in time"));
  socket.once("connect", () => resolve(undefined));
  socket.on("error", (error) => resolve(faultReason(error)));
  const reason = await promise;
  socket.destroy();
  const ms = Math.round((performance.now() - startedMs) * 10) / 10;
  const found = { event: "origin", origin: label, up: reason === undefined, ms } as const;
  return reason === undefined ? found : { ...found, reason };
}
