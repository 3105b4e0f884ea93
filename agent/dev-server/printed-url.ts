/** The addresses on this machine that a development server prints when it is ready. */
import { stripVTControlCharacters } from "node:util";

/** The address that a server on this machine has. */
export interface LocalAddress {
  readonly scheme: "http" | "https";
  readonly port: number;
}

/** A line longer than this holds no address that a person should read. */
const MAX_LINE_CHARS = 4096;

const LOCAL =
  /\b(https?):\/\/(?:localhost|[a-z0-9-]+\.localhost|127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1?\])(?::(\d{1,5}))?(?![\w.:])/gi;

/** Reads output as it comes, in pieces that may end anywhere, also within a colour's escape sequence. */
export class PrintedUrls {
  #line = "";

  /** The addresses in the lines that `text` completes. */
  read(text: string): LocalAddress[] {
    const lines = (this.#line + text).split(/[\r\n]/);
    this.#line = (lines.at(-1) ?? "").slice(-MAX_LINE_CHARS);
    return lines.slice(0, -1).flatMap(localAddresses);
  }
}

/** The addresses in one line, in order. */
export function localAddresses(line: string): LocalAddress[] {
  const plain = stripVTControlCharacters(line);
  return [...plain.matchAll(LOCAL)].flatMap(([, protocol = "", digits]) => {
    const scheme = protocol.toLowerCase() === "https" ? "https" : "http";
    const port = Number(digits ?? (scheme === "https" ? 443 : 80));
    return port >= 1 && port <= 65_535 ? [{ scheme, port }] : [];
  });
}
