/**
 * The one place that writes to the Worker's log: one structured line for a fault of our own or of the configuration.
 *
 * What visitors and agents do wrong is not logged: at a thousand requests a second the log would cost more than the tunnel.
 */

/** Logs a fault as one object; Workers Logs makes its members fields. */
export function logFault(where: string, error: unknown): void {
  const thrown = error instanceof Error ? error : new Error(String(error));
  // oxlint-disable-next-line no-console -- the log of a Worker is its console
  console.error({ event: "fault", where, message: thrown.message, stack: thrown.stack });
}
