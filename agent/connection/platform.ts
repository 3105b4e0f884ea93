/**
 * Node as what the kernel needs of a platform.
 */
import type { Platform } from "../../codec/transport.ts";
import { MessagePool } from "./message-pool.ts";

/** A platform with a pool of memory of its own. */
export function newPlatform(): Platform {
  const pool = new MessagePool();
  return {
    now: () => performance.now(),
    schedule: (flush) => void setImmediate(flush),
    after(ms, due) {
      const timer = setTimeout(due, ms);
      return () => clearTimeout(timer);
    },
    allocate: (bytes) => pool.take(bytes),
    release: (message) => pool.give(message),
  };
}
