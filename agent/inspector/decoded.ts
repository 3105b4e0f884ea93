/** What a compressed body says, as far as it was kept. A small one may say a great deal: there is a bound. */
import {
  brotliDecompressSync,
  constants,
  gunzipSync,
  inflateSync,
  zstdDecompressSync,
} from "node:zlib";

/** The most that is shown. */
export const MOST_DECODED_BYTES = 1024 * 1024;

export interface Decoded {
  readonly bytes: Buffer;
  /** Why it is shown as it came; "" when it is not, or needs no decoding. */
  readonly fault: string;
}

/** The end may be missing: what was kept is the beginning. */
export function decoded(bytes: Buffer, encoding: string): Decoded {
  const lower = encoding.trim().toLowerCase();
  if (bytes.length === 0 || lower === "" || lower === "identity") return { bytes, fault: "" };
  const maxOutputLength = MOST_DECODED_BYTES;
  try {
    switch (lower) {
      case "gzip":
      case "x-gzip": {
        const finishFlush = constants.Z_SYNC_FLUSH;
        return { bytes: gunzipSync(bytes, { finishFlush, maxOutputLength }), fault: "" };
      }
      case "deflate": {
        const finishFlush = constants.Z_SYNC_FLUSH;
        return { bytes: inflateSync(bytes, { finishFlush, maxOutputLength }), fault: "" };
      }
      case "br": {
        const finishFlush = constants.BROTLI_OPERATION_FLUSH;
        return { bytes: brotliDecompressSync(bytes, { finishFlush, maxOutputLength }), fault: "" };
      }
      case "zstd": {
        const finishFlush = constants.ZSTD_e_flush;
        return { bytes: zstdDecompressSync(bytes, { finishFlush, maxOutputLength }), fault: "" };
      }
      default:
        return { bytes, fault: `it is encoded with ${lower}, which is not known here` };
    }
  } catch (error) {
    const large =
      error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    return {
      bytes,
      fault: large
        ? `decoded it has more than ${MOST_DECODED_BYTES / 1024 / 1024} MiB: this is what came`
        : `it is not valid ${lower}: this is what came`,
    };
  }
}
