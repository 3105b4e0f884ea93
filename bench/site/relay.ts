/**
 * A path between two programs, in a process of its own: a TCP relay that adds half of a round trip each way, limits
 * the rate of each direction, and counts the WebSocket messages that pass towards its target.
 *
 * Parameters: JSON of `RelayOptions`. It answers with its port and what it has counted.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { answerQuestions } from "../process.ts";
import { MessageCounter } from "./frames.ts";
import { Line } from "./line.ts";

export interface RelayOptions {
  /** The port on 127.0.0.1 that it leads to. */
  readonly to: number;
  readonly rttMs: number;
  /** Megabits a second each way; 0 is no limit. */
  readonly mbitPerS: number;
  readonly countMessages: boolean;
}

export interface RelayAnswer {
  readonly port: number;
  /** WebSocket messages to the target so far, and the bytes in them. */
  readonly messages: number;
  readonly payloadBytes: number;
}

const options = JSON.parse(process.argv[2] ?? "{}") as RelayOptions;
const line = { delayMs: options.rttMs / 2, bytesPerMs: (options.mbitPerS * 1e6) / 8 / 1000 };
const counters: MessageCounter[] = [];

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ port: options.to, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  const counter = options.countMessages ? new MessageCounter() : undefined;
  if (counter !== undefined) counters.push(counter);
  // oxlint-disable-next-line no-new -- a line lives by its sockets' events
  new Line(near, far, line, (chunk) => counter?.push(chunk));
  // oxlint-disable-next-line no-new
  new Line(far, near, line, () => {});
});
server.listen(0, "127.0.0.1");
const listening = once(server, "listening");

answerQuestions<undefined, RelayAnswer>(async () => {
  if (!server.listening) await listening;
  let messages = 0;
  let payloadBytes = 0;
  for (const counter of counters) {
    messages += counter.messages;
    payloadBytes += counter.payloadBytes;
  }
  return { port: (server.address() as AddressInfo).port, messages, payloadBytes };
});
