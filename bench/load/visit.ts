/**
 * One connection to a target and the requests on it.
 */
import { connect, type Socket } from "node:net";
import type { Target } from "./job.ts";
import { reset } from "../site/reset.ts";
import { ResponseReader } from "./response.ts";

/** The head of a request, ready to be written. */
export function requestHead(target: Target, path: string, method = "GET", length?: number): string {
  const host = target.host ?? `127.0.0.1:${target.port}`;
  const body = length === undefined ? "" : `content-length: ${length}\r\n`;
  // What a browser would send beside it, so that heads have a usual size.
  return (
    `${method} ${target.prefix}${path} HTTP/1.1\r\nhost: ${host}\r\n${body}` +
    "user-agent: sluice-bench\r\naccept: */*\r\naccept-language: en\r\ncache-control: no-cache\r\n\r\n"
  );
}

export function dial(target: Target): Socket {
  return connect({ port: target.port, host: "127.0.0.1", noDelay: true });
}

/** Sends one request on a connection of its own. Resolves when the whole answer was read, or `signal` has ended it. */
export function visit(
  target: Target,
  head: string,
  onBody: (piece: Buffer) => void,
  signal?: AbortSignal,
  send: (socket: Socket) => void = () => {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = dial(target);
    const reader = new ResponseReader(onBody);
    const settle = (error?: Error): void => {
      signal?.removeEventListener("abort", stop);
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    // A reset rather than a farewell: workerd takes a mere FIN for a visitor who still listens.
    const stop = (): void => {
      reset(socket);
      settle();
    };
    const attempt = (step: () => void): void => {
      try {
        step();
        if (reader.done) settle();
      } catch (error) {
        settle(error as Error);
      }
    };
    signal?.addEventListener("abort", stop, { once: true });
    socket.on("connect", () => {
      socket.write(head);
      send(socket);
    });
    socket.on("data", (chunk: Buffer) => attempt(() => reader.push(chunk)));
    socket.on("end", () => attempt(() => reader.end()));
    socket.on("error", settle);
  });
}
