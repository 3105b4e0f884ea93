/**
 * `ssh -R`: OpenSSH's server with a configuration of its own on 127.0.0.1, and its client. The strongest baseline: one
 * connection, multiplexed and windowed.
 */
import { chmod, chown, readdir, readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { family, flags, Program } from "../process.ts";
import type { Site, System } from "../system.ts";
import { temporary } from "../temporary.ts";
import { cache, exists, freePort, onPath, type Peer, peerSystem, run } from "./install.ts";

export const SSH = "ssh -R";

/**
 * As root, the server runs as this system account of every Debian: it needs no privilege to forward a port. Not as
 * nobody, whose account systemd says is locked.
 */
const DAEMON = { name: "daemon", id: 1 };

interface Sshd {
  readonly path: string;
  readonly libraries: string;
}

/** The server that is installed, or Debian's package, unpacked but not installed: nothing is started or configured by it. */
async function sshd(): Promise<Sshd> {
  const there = await onPath("sshd");
  if (there !== undefined) return { path: there, libraries: "" };
  if ((await onPath("apt-get")) === undefined) throw new Error("no sshd, and not Debian");
  const directory = await cache("openssh-server");
  const path = join(directory, "root/usr/sbin/sshd");
  if (!(await exists(path))) {
    await run("apt-get", ["download", "openssh-server", "libwrap0"], directory);
    for (const file of await readdir(directory)) {
      if (file.endsWith(".deb")) await run("dpkg", ["-x", file, "root"], directory);
    }
  }
  // The server runs as somebody who cannot read a private cache: it gets a copy of its own in `start`.
  return { path, libraries: join(directory, "root/usr/lib/x86_64-linux-gnu") };
}

async function start(site: Site): Promise<System> {
  if ((await onPath("ssh")) === undefined) throw new Error("no ssh client is here");
  const { path, libraries } = await sshd();
  const directory = await temporary("ssh");
  const asRoot = process.getuid?.() === 0;
  const own = async (name: string, contents: string | Buffer, mode: number): Promise<string> => {
    const file = join(directory, name);
    await writeFile(file, contents, { mode });
    if (asRoot) await chown(file, DAEMON.id, DAEMON.id);
    return file;
  };
  await chmod(directory, 0o755);
  for (const key of ["host", "user"]) {
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key], directory);
  }
  const [port, publicPort] = [await freePort(), await freePort()];
  const hostKey = await own("host_key", await readFile(join(directory, "host")), 0o600);
  const keys = await own("authorized", await readFile(join(directory, "user.pub")), 0o644);
  const config = await own(
    "config",
    [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${keys}`,
      "StrictModes no",
      "UsePAM no",
      "PidFile none",
      "AllowTcpForwarding remote",
      "LogLevel INFO",
    ].join("\n"),
    0o644,
  );
  const binary = libraries === "" ? path : await own("sshd", await readFile(path), 0o755);
  const library = join(libraries, "libwrap.so.0");
  if (libraries !== "" && (await exists(library))) {
    await own("libwrap.so.0", await readFile(library), 0o644);
  }
  const server = Program.start(binary, ["-D", "-e", "-f", config], {
    cwd: directory,
    env: { LD_LIBRARY_PATH: directory },
    ...(asRoot ? { user: DAEMON.id } : {}),
  });
  await server.line(/Server listening/);
  const settings = {
    StrictHostKeyChecking: "no",
    UserKnownHostsFile: "/dev/null",
    ExitOnForwardFailure: "yes",
    IdentitiesOnly: "yes",
    BatchMode: "yes",
  };
  const client = Program.start("ssh", [
    "-v",
    "-N",
    ...flags({ "-F": "none", "-i": join(directory, "user"), "-p": await site.via(port) }),
    ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
    ...flags({ "-R": `127.0.0.1:${publicPort}:127.0.0.1:${site.originPort}` }),
    `${asRoot ? DAEMON.name : userInfo().username}@127.0.0.1`,
  ]);
  await client.line(/remote forward success/);
  return peerSystem(
    SSH,
    { port: publicPort, prefix: "" },
    { edge: () => family(server.pid), agent: () => [client.pid] },
    () => Promise.all([client.stop(), server.stop()]),
  );
}

export const ssh: Peer = { name: SSH, start };
