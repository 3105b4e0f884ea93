/**
 * tinyproxy, squid, microsocks, dante, caddy and nginx as Debian packages them, each with a configuration of the test's on a port of 127.0.0.1.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./program.ts";
import { poll, within } from "./until.ts";

/** Debian has daemons where the path of most users does not lead. */
const env = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin` };

/** The programs whose packages have another name. */
const packages = new Map([
  ["nginx", "nginx-light"],
  ["danted", "dante-server"],
]);

/** Whether the program is there; that it is not is said. */
export function hasProxy(
  program: "tinyproxy" | "squid" | "microsocks" | "danted" | "caddy" | "nginx",
): boolean {
  const there = spawnSync(program, ["-v"], { env }).error === undefined;
  const name = packages.get(program) ?? program;
  if (!there)
    process.stderr.write(`skipped: there is no ${program} here (Debian's package ${name})\n`);
  return there;
}

export interface DebianProxy {
  readonly port: number;
  readonly url: string;
  /** What it has logged. */
  readonly log: () => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** @param lines more of `tinyproxy.conf` */
export function tinyproxy(lines: readonly string[] = []): Promise<DebianProxy> {
  return start("tinyproxy", (port, directory) => ({
    parameters: (file) => ["-d", "-c", file],
    lines: [
      `Port ${port}`,
      "Listen 127.0.0.1",
      "Allow 127.0.0.1",
      "MaxClients 20",
      `LogFile "${join(directory, "log")}"`,
      "LogLevel Connect",
      ...(lines.some((line) => line.startsWith("Timeout")) ? [] : ["Timeout 600"]),
      ...lines,
    ],
  }));
}

/** @param lines of `squid.conf`, before the one that lets everything through */
export function squid(
  lines: readonly string[] | ((directory: string) => readonly string[]) = [],
  listens = "",
): Promise<DebianProxy> {
  return start("squid", (port, directory) => ({
    parameters: (file) => ["-N", "-f", file],
    lines: [
      `http_port 127.0.0.1:${port} ${listens}`,
      "visible_hostname squid.test",
      "pid_filename none",
      "cache deny all",
      "cache_mem 1 MB",
      "shutdown_lifetime 0 seconds",
      "pinger_enable off",
      `coredump_dir ${directory}`,
      `cache_log ${join(directory, "cache.log")}`,
      `access_log stdio:${join(directory, "log")}`,
      ...(typeof lines === "function" ? lines(directory) : lines),
      "http_access allow all",
    ],
  }));
}

/** A small SOCKS5 server. @param flags as `-u jo -P secret` */
export function microsocks(flags: readonly string[] = []): Promise<DebianProxy> {
  return start("microsocks", (port) => ({
    parameters: () => ["-i", "127.0.0.1", "-p", String(port), ...flags],
    lines: [],
  }));
}

/** A large one, which speaks SOCKS4 too. @param rules of `danted.conf`, before the one that lets everything through */
export function dante(rules: readonly string[] = []): Promise<DebianProxy> {
  const everywhere = "{ from: 0.0.0.0/0 to: 0.0.0.0/0 }";
  return start("danted", (port, directory) => ({
    parameters: (file) => ["-f", file],
    // It ends its many children, where it may.
    ends: "SIGTERM",
    lines: [
      `logoutput: ${join(directory, "log")}`,
      `internal: 127.0.0.1 port = ${port}`,
      "external: lo",
      "clientmethod: none",
      "socksmethod: none",
      `client pass ${everywhere}`,
      ...rules,
      `socks pass ${everywhere}`,
    ],
  }));
}

/** Where the front proxies find the edge, and the files of a certificate for `localhost` and names below it. */
export interface Behind {
  readonly edgePort: number;
  readonly cert: string;
  readonly key: string;
}

/** Caddy with the repository's own Caddyfile, but for names, ports and the certificate. */
export async function caddy({ edgePort, cert, key }: Behind): Promise<DebianProxy> {
  const shipped = await readFile(join(root, "deploy/caddy/Caddyfile"), "utf8");
  return start("caddy", (port, directory) => ({
    parameters: (file) => ["run", "--adapter", "caddyfile", "--config", file],
    environment: { XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory },
    lines: [
      "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}",
      swapped(shipped, [
        [
          "\ntunnel.example.com {",
          `\nlocalhost:${port}, *.localhost:${port} {\n\ttls ${cert} ${key}`,
        ],
        ["127.0.0.1:8787", `127.0.0.1:${edgePort}`],
      ]),
    ],
  }));
}

/** nginx with the repository's own server blocks, but for names, ports and the certificate. */
export async function nginx({ edgePort, cert, key }: Behind): Promise<DebianProxy> {
  const shipped = await readFile(join(root, "deploy/nginx/sluice.conf"), "utf8");
  return start("nginx", (port, directory) => {
    const server = swapped(shipped, [
      [
        "    listen 443 ssl http2;\n    listen [::]:443 ssl http2;",
        `    listen 127.0.0.1:${port} ssl http2;`,
      ],
      ["    listen 80;\n    listen [::]:80;", `    listen unix:${join(directory, "plain")};`],
      ["server 127.0.0.1:8787;", `server 127.0.0.1:${edgePort};`],
      ["/etc/letsencrypt/live/tunnel.example.com/fullchain.pem", cert],
      ["/etc/letsencrypt/live/tunnel.example.com/privkey.pem", key],
      [
        "server_name tunnel.example.com *.tunnel.example.com;",
        "server_name localhost *.localhost;",
      ],
    ]);
    const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    const temporary = kinds.map((kind) => `${kind}_temp_path ${join(directory, kind)};`);
    return {
      // One process, which is the one that is ended.
      parameters: (file) => ["-c", file, "-g", "daemon off; master_process off;"],
      lines: [
        `user root; pid ${join(directory, "pid")}; error_log ${join(directory, "log")};`,
        "events {}",
        `http { access_log off; ${temporary.join(" ")}`,
        server,
        "}",
      ],
    };
  });
}

/** The text with each of the places changed, all of which it must have. */
function swapped(text: string, places: readonly (readonly [from: string, to: string])[]): string {
  return places.reduce((left, [from, to]) => {
    if (!left.includes(from)) throw new Error(`there is no "${from}" in it`);
    return left.replaceAll(from, to);
  }, text);
}

interface Plan {
  readonly environment?: Readonly<Record<string, string>>;
  readonly lines: readonly string[];
  readonly parameters: (file: string) => string[];
  /** What ends it; SIGKILL when undefined. */
  readonly ends?: NodeJS.Signals;
}

async function start(
  program: string,
  plan: (port: number, directory: string) => Plan,
): Promise<DebianProxy> {
  const directory = await mkdtemp(join(tmpdir(), `sluice-${program}-`));
  // As root, squid becomes another user.
  await chmod(directory, 0o777);
  const port = await freePort();
  const { lines, parameters, environment, ends = "SIGKILL" } = plan(port, directory);
  const file = join(directory, "conf");
  await writeFile(file, `${lines.join("\n")}\n`);
  const child = spawn(program, parameters(file), {
    env: { ...env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const output of [child.stdout, child.stderr]) {
    output.setEncoding("utf8").on("data", (text: string) => (said += text));
  }
  const kill = (): void => void child.kill(ends);
  process.once("exit", kill);
  const gone = once(child, "close");
  const stop = async (): Promise<void> => {
    process.off("exit", kill);
    kill();
    await within(gone, `the end of ${program}`);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await poll(async () => {
      if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`);
      const socket = connect(port, "127.0.0.1");
      const open = await Promise.race([
        once(socket, "connect").then(() => true),
        once(socket, "close").then(() => false),
      ]).catch(() => false);
      socket.destroy();
      return open;
    }, `${program} to listen`);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    log: () => readFile(join(directory, "log"), "utf8").catch(() => ""),
    stop,
  };
}

/** One that was free a moment ago: these programs cannot let the system choose and say which. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
