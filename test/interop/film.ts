/**
 * A film that no browser plays without asking for ranges: what tells where its pictures are stands behind 8 MiB of nothing.
 *
 * `film.mp4` is 10 s of red, of green and of blue, one picture a second, in VP9:
 *
 *     ffmpeg -f lavfi -i color=red:s=64x48:r=1:d=10 -f lavfi -i color=lime:s=64x48:r=1:d=10 \
 *       -f lavfi -i color=blue:s=64x48:r=1:d=10 -filter_complex concat=n=3 -c:v libvpx-vp9 -b:v 0 -crf 40 -g 5 \
 *       -pix_fmt yuv420p -bitexact -map_metadata -1 film.mp4
 */
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";

export const FILM = { seconds: 30, width: 64, height: 48 };

/** How much lies between the pictures and the table of them (`moov`). */
export const GAP_BYTES = 8 * 1024 * 1024;

/** A box that players skip (ISO/IEC 14496-12 section 8.1.2), before the last one: what it has offsets of stays where it is. */
export function gappedFilm(): Buffer {
  const film = readFileSync(new URL("film.mp4", import.meta.url));
  const tableAt = film.lastIndexOf("moov") - 4;
  if (tableAt + film.readUInt32BE(tableAt) !== film.length) throw new Error("moov is not the last");
  const gap = Buffer.alloc(GAP_BYTES);
  gap.writeUInt32BE(GAP_BYTES, 0);
  gap.write("free", 4);
  return Buffer.concat([film.subarray(0, tableAt), gap, film.subarray(tableAt)]);
}

/** Answers with `film`, or with the range of it that is asked. Returns the first byte of that. */
export function sendFilm(film: Buffer, request: IncomingMessage, response: ServerResponse): number {
  const { range } = request.headers;
  const [, from = "0", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  const first = Number(from);
  const last = to === "" ? film.length - 1 : Number(to);
  response.setHeader("content-type", "video/mp4");
  response.setHeader("accept-ranges", "bytes");
  response.setHeader("content-length", last - first + 1);
  if (range !== undefined) {
    response.statusCode = 206;
    response.setHeader("content-range", `bytes ${first}-${last}/${film.length}`);
  }
  response.end(film.subarray(first, last + 1));
  return first;
}
