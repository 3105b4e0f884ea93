/** Exchanges of a `SessionPair`: heads to open them with, and shorthands for what most tests do first and last. */
import { afterEach, beforeEach, expect } from "vitest";
import { TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import type { RequestHead, ResponseHead } from "../../codec/frame.ts";
import type { Session } from "../../codec/session.ts";
import { SessionPair, type SessionPairOptions } from "./pair.ts";

export const get: RequestHead = { method: "GET", path: "/", headers: ["a", "b"], length: "none" };
export const post: RequestHead = { method: "POST", path: "/", headers: [], length: "unknown" };
export const ok: ResponseHead = {
  status: 200,
  reason: "OK",
  headers: ["x", "y"],
  length: "unknown",
};

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The code of a TunnelError, for `catch`. */
export const code = (error: unknown): string =>
  error instanceof TunnelError ? error.code : `no TunnelError: ${String(error)}`;

/** After all microtasks. */
export const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface Greeted {
  readonly pair: SessionPair;
  /** Every exchange that the agent accepted. */
  readonly accepted: Exchange[];
  /** Every greeting that the agent's end told of. */
  readonly connected: (readonly [session: Session, resumed: boolean])[];
}

export interface Opened extends Greeted {
  readonly edge: Exchange;
  readonly agent: Exchange;
}

/** A greeted pair. */
export async function greeted(options: SessionPairOptions = {}): Promise<Greeted> {
  const accepted: Exchange[] = [];
  const connected: [Session, boolean][] = [];
  const pair = await SessionPair.greeted({
    ...options,
    agent: {
      accept: (exchange) => accepted.push(exchange),
      connected: (session, resumed) => connected.push([session, resumed]),
      ...options.agent,
    },
  });
  return { pair, accepted, connected };
}

/** A greeted pair with one exchange that the agent has accepted. */
export async function opened(
  head: RequestHead = post,
  options: SessionPairOptions = {},
): Promise<Opened> {
  const made = await greeted(options);
  const edge = made.pair.edge.session.open(head);
  await made.pair.settle();
  const [agent] = made.accepted;
  if (agent === undefined) throw new Error("the exchange did not arrive");
  return { ...made, edge, agent };
}

/** All of a body that comes by itself. */
export async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** All of a body, while the pair is kept moving. */
export async function readAll(pair: SessionPair, { incoming }: Exchange): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  while (!incoming.ended) {
    const chunk = incoming.take();
    if (chunk === undefined) await pair.settle();
    else chunks.push(Uint8Array.from(chunk));
  }
  // The last chunk is consumed when its reader comes back.
  incoming.take();
  return Buffer.concat(chunks);
}

/** Fails each test of a file that leaves an unhandled rejection: in Node that is the end of the process. */
export function watchRejections(): void {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  beforeEach(() => void process.on("unhandledRejection", note));
  afterEach(async () => {
    await immediate();
    await immediate();
    process.off("unhandledRejection", note);
    expect(unhandled.splice(0)).toEqual([]);
  });
}
