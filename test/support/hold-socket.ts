/**
 * Runs a command with a listening socket at descriptor 3, as systemd's socket activation does, and passes signals on:
 * `node hold-socket.ts <command> <parameter>…`. HOLD_RUNS is how often the command is run, one after the other, on that socket.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

const server = createServer().listen(0, "127.0.0.1");
await once(server, "listening");
// Node has no public way to hand a listening socket to a program that is not Node.
const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
const run = `sh -c 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"' "$0" "$@"`;
const runs = Number(process.env["HOLD_RUNS"] ?? 1);
// The last one takes the shell's place, so that signals reach it.
const shell = [...Array<string>(runs - 1).fill(run), `exec ${run}`].join("; ");
const child = spawn("/bin/sh", ["-c", shell, ...process.argv.slice(2)], {
  stdio: ["ignore", "inherit", "inherit", fd],
});
// The command has it now, and alone takes connections.
server.close();
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  process.on(signal, () => child.kill(signal));
}
process.on("exit", () => child.kill("SIGKILL"));
child.on("close", (code) => process.exit(code ?? 1));
