/**
 * An `http.Server` without a port as the origin: it gets connections over a socket that only this user can reach.
 *
 * The server itself is never told to listen, so that its owner may still do so, and is not closed with the tunnel. Its
 * connections are real sockets, which is what servers, frameworks and WebSocket libraries expect; an in-memory pair of
 * streams would be none.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { Server as HttpServer } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Removed when the process ends without a word; one listener, however many there are. */
const directories = new Set<string>();

function removeAll(): void {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
}

export class PrivateServer {
  /** Where it listens: a path on a Unix system, the name of a pipe on Windows. */
  readonly path: string;
  readonly #server: Server;
  readonly #directory: string | undefined;
  readonly #sockets: ReadonlySet<Socket>;

  private constructor(
    path: string,
    directory: string | undefined,
    server: Server,
    sockets: ReadonlySet<Socket>,
  ) {
    this.path = path;
    this.#directory = directory;
    this.#server = server;
    this.#sockets = sockets;
  }

  /** @throws Error when no socket can be made, as in a temporary directory whose path is too long for one */
  static async before(server: HttpServer): Promise<PrivateServer> {
    const sockets = new Set<Socket>();
    const listener = createServer((socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      server.emit("connection", socket);
    });
    const windows = process.platform === "win32";
    // A directory of its own: only its owner can enter it, whatever the rights of a socket mean on this system.
    const directory = windows ? undefined : await mkdtemp(join(tmpdir(), "sluice-"));
    const name = randomBytes(16).toString("hex");
    const path = directory === undefined ? `\\\\.\\pipe\\sluice-${name}` : join(directory, "http");
    if (directory !== undefined) keep(directory);
    try {
      listener.listen(path);
      await once(listener, "listening");
      // A connection that could not be accepted fails at its other end too, which says so.
      listener.on("error", () => {});
    } catch (error) {
      if (directory !== undefined) await remove(directory);
      throw error;
    }
    return new PrivateServer(path, directory, listener, sockets);
  }

  /** Ends its connections and leaves no file. The `http.Server` stays what it is. */
  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    if (this.#directory !== undefined) await remove(this.#directory);
  }
}

function keep(directory: string): void {
  if (directories.size === 0) process.on("exit", removeAll);
  directories.add(directory);
}

async function remove(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  directories.delete(directory);
  if (directories.size === 0) process.off("exit", removeAll);
}
