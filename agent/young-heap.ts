/**
 * Keeps the young generation of Node 24's V8 at 1 MiB. Imported for its effect, where a command makes an agent and all
 * that it needs is loaded: V8 keeps no code across a flag that changes, not even that of Node's own modules.
 *
 * A bulk transfer makes little JavaScript garbage and much memory outside of the heap: 64 KiB for each read of a socket.
 * That memory is freed by a scavenge, which is due when the young generation is full; at Node's 16 MiB that takes so
 * long that V8 collects the whole heap for the outside memory instead, sixty times a GiB. Measured, also in
 * `bench/README.md`: half of the CPU a GiB and a third more throughput, and small requests as fast as before.
 */
import { setFlagsFromString } from "node:v8";

// Node 22 collects often enough by itself. Node 26's V8 has no such flag, and would say so on the terminal; there a GiB costs
// two collections of the whole heap instead of six.
if (process.versions.node.startsWith("24.")) {
  setFlagsFromString("--scavenger-max-new-space-capacity-mb=1");
}
