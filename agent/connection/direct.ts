/** A TCP connection of our own, to an edge or to a proxy. */
import { connect, type Socket } from "node:net";
import { Unreachable } from "./unreachable.ts";

/** @throws Unreachable after the deadline, or what the system says */
export async function direct(host: string, port: number, deadline: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ host, port });
  const late = (): void => {
    socket.destroy();
    reject(new Unreachable(`${host} did not answer in time`));
  };
  deadline.addEventListener("abort", late);
  socket.once("error", reject);
  socket.once("connect", () => resolve(socket));
  try {
    return await promise;
  } finally {
    deadline.removeEventListener("abort", late);
    socket.off("error", reject);
  }
}
