/**
 * A listening socket that whoever started us holds (systemd's socket activation, sd_listen_fds(3)): connections wait in it
 * while one edge ends and the next begins.
 */

/** The first descriptor that is handed over. */
const FIRST = 3;

/**
 * The descriptor, or undefined when there is none for us.
 * @param pid ours: what was meant for another process has only been inherited.
 * @throws Error when there are several
 */
export function inheritedSocket(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  if (environment["LISTEN_PID"] !== String(pid)) return undefined;
  const count = Number(environment["LISTEN_FDS"]);
  if (count === 1) return FIRST;
  throw new Error(`LISTEN_FDS hands ${count} sockets over; the edge listens on one.`);
}
