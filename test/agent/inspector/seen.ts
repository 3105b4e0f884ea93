/** Exchanges as a watch sees them, without a session behind. */
import type { Watch } from "../../../agent/watch.ts";
import type { ExchangeWatch } from "../../../agent/watch.ts";
import type { Exchange } from "../../../codec/exchange.ts";
import type { RequestHead, ResponseHead } from "../../../codec/frame.ts";

/** Just what is looked at of an exchange. */
export function seenExchange(head: Partial<RequestHead> = {}, creditBytes = 65_536): Exchange {
  const request: RequestHead = { method: "GET", path: "/", headers: [], length: "none", ...head };
  return {
    id: "session-1",
    request,
    outgoing: { creditBytes, queuedBytes: 0 },
  } as unknown as Exchange;
}

export function opened(watch: Watch, head: Partial<RequestHead> = {}): ExchangeWatch {
  const seen = watch.opened(seenExchange(head));
  if (seen === undefined) throw new Error("nobody looks");
  seen.started?.();
  seen.connected?.();
  return seen;
}

export function answerHead(type: string, more: Partial<ResponseHead> = {}): ResponseHead {
  return {
    status: 200,
    reason: "OK",
    headers: ["Content-Type", type],
    length: "unknown",
    ...more,
  };
}

export function endWell(watch: ExchangeWatch, bytesOut = 0): void {
  watch.ended({ status: 200, bytesIn: 0, bytesOut, outcome: "ok" });
}
