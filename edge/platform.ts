/**
 * workerd as what the kernel needs of a platform.
 */
import type { Platform } from "../codec/transport.ts";

const settled = Promise.resolve();

export const platform: Platform = {
  now: () => performance.now(),

  schedule(flush) {
    // The same as queueMicrotask(), which would be a call into the runtime and a function wrapped for it.
    void settled.then(flush);
  },

  after(ms, due) {
    const timer = setTimeout(due, ms);
    return () => clearTimeout(timer);
  },

  allocate: (bytes) => new Uint8Array(bytes),

  // Fresh memory costs nothing here that a pool of our own would save.
  release() {},
};

/** See `SessionOptions.random`. */
export function unpredictable(): number {
  const [value = 0] = crypto.getRandomValues(new Uint32Array(1));
  return 2 ** 30 + (value >>> 2);
}
