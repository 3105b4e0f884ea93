/**
 * Asked to end: the first signal asks for an orderly end, the second ends the process.
 */
import { isatty } from "node:tty";
import { type ExitCode, exits } from "./config/usage.ts";

/** How often we look whether npm is still there: nobody waits longer than this for us to notice. */
const PARENT_CHECK_MS = 200;

/**
 * Calls `first` at the first SIGINT or SIGTERM; at the second calls `second` and exits with the code that shells expect.
 *
 * Under `npx` and `npm start` a shell stands between npm and us. npm hands it the signal that it got, the shell dies of
 * it, and we would live on without a parent: then its death is the signal.
 */
export function onSignals(first: (signal: NodeJS.Signals) => void, second: () => void): void {
  let asked = false;
  const ask = (signal: NodeJS.Signals): void => {
    asked = true;
    first(signal);
  };
  const on = (signal: "SIGINT" | "SIGTERM", code: ExitCode): void => {
    process.on(signal, () => {
      if (!asked) {
        ask(signal);
        return;
      }
      second();
      process.exit(code);
    });
  };
  on("SIGINT", exits.interrupted);
  on("SIGTERM", exits.terminated);
  if (process.env["npm_command"] === undefined) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    if (!asked) ask("SIGTERM");
  }, PARENT_CHECK_MS);
  watch.unref();
}

/**
 * Calls `asked` at a SIGHUP that somebody sent. The one that says that the terminal was closed is a SIGTERM: who closes the
 * window wants the tunnel closed.
 */
export function onHangup(asked: () => void): void {
  const terminals = [0, 1, 2].filter((file) => isatty(file));
  process.on("SIGHUP", () => {
    if (terminals.length > 0 && !terminals.some((file) => isatty(file))) {
      process.kill(process.pid, "SIGTERM");
    } else {
      asked();
    }
  });
}
