/**
 * Whether the kernel itself held something up: on loopback nothing is lost on the way, but a receiver's buffer that is
 * full may drop what was sent, and then the sender waits for its retransmission timer, 200 ms at least.
 */
import { readFileSync } from "node:fs";

/** How often a retransmission timer has fired on this machine. */
function timeouts(): number {
  const [names = "", values = ""] = readFileSync("/proc/net/netstat", "latin1").split("\n");
  const at = names.split(" ").indexOf("TCPTimeouts");
  return Number(values.split(" ")[at] ?? 0);
}

/** How often a measurement is repeated before it is taken as it is. */
const REPEATS = 2;

/** Measures, and measures again when the kernel's timers were in it. `told` is told of each repetition. */
export async function undisturbed<T>(measure: () => Promise<T>, told: () => void): Promise<T> {
  for (let repeats = 0; ; repeats++) {
    const before = timeouts();
    const result = await measure();
    if (repeats === REPEATS || timeouts() === before) return result;
    told();
  }
}
