/**
 * The TCP ports that a process and those below it listen on, as /proc says. Linux only: elsewhere nothing is known.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** In a table of /proc/net, a socket that listens. */
const LISTEN = "0A";

/** What Node's debugger listens on, unless told otherwise. */
const INSPECTOR_PORT = 9229;

/** In ascending order; undefined where there is no /proc. */
export function listeningPorts(pid: number): number[] | undefined {
  if (process.platform !== "linux") return undefined;
  const ports = new Map<string, number>();
  for (const table of ["tcp", "tcp6"]) {
    for (const [inode, port] of listeners(`/proc/${pid}/net/${table}`)) ports.set(inode, port);
  }
  const found = new Set<number>();
  for (const each of withDescendants(pid)) {
    for (const inode of socketsOf(each)) {
      const port = ports.get(inode);
      if (port !== undefined && port !== INSPECTOR_PORT) found.add(port);
    }
  }
  return [...found].toSorted((one, other) => one - other);
}

/** Port by inode. */
function listeners(table: string): [string, number][] {
  return read(table)
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTEN)
    .map((fields) => [fields[9] ?? "", Number.parseInt(fields[1]?.split(":")[1] ?? "", 16)]);
}

function withDescendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of list("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // The name, in parentheses, may hold anything.
    const parent = Number(/^.*\) \S (\d+) /s.exec(read(`/proc/${name}/stat`))?.[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const all = [pid];
  for (const each of all) all.push(...(children.get(each) ?? []));
  return all;
}

function socketsOf(pid: number): string[] {
  const inodes: string[] = [];
  for (const name of list(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`))?.[1];
      if (inode !== undefined) inodes.push(inode);
    } catch {
      // Closed between the listing and the reading.
    }
  }
  return inodes;
}

/** Nothing for a process that has ended, or that is not ours to look at. */
function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
