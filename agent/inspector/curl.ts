/** A request as a line for a shell (POSIX: nothing that only bash understands). */
import { isUtf8 } from "node:buffer";
import type { HeaderList } from "../../codec/frame.ts";
import { fieldsOf } from "./secrets.ts";

export interface CurlOptions {
  readonly method: string;
  readonly url: string;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  /** Whether secrets are in it. */
  readonly reveal: boolean;
}

/** What curl, or the address, says by itself. */
const left = new Set(["host", "content-length", "connection", "transfer-encoding"]);

/** As the tunnel adds them: the next visit gets its own. */
const ofTheWay =
  /^(?:x-forwarded-.*|x-real-ip|forwarded|via|cf-(?:connecting-ip|ray|visitor|ipcountry|worker|ew-via)|cdn-loop)$/;

/**
 * What a terminal that it is pasted into would take for a key, inside of quotes too: with a Ctrl-C a body would end the line,
 * and its next line would be a command.
 */
// oxlint-disable-next-line no-control-regex -- that is what it looks for
const controls = /[\u0000-\u0008\u000b-\u001f\u007f]/;

export function curlOf({ method, url, headers, body, reveal }: CurlOptions): string {
  const words: string[] = ["curl", "--globoff", "--path-as-is"];
  if (method === "HEAD") words.push("--head");
  else if (method !== (body.length > 0 ? "POST" : "GET")) words.push("-X", quote(method));
  words.push(quote(url));
  let typed = false;
  let compressed = false;
  for (const { name, value } of fieldsOf(headers, reveal)) {
    const lower = name.toLowerCase();
    if (left.has(lower) || ofTheWay.test(lower)) continue;
    typed ||= lower === "content-type";
    compressed ||= lower === "accept-encoding";
    // A name alone takes a field out; with a semicolon it is empty.
    words.push("-H", quote(value === "" ? `${name};` : `${name}: ${value}`));
  }
  if (compressed) words.push("--compressed");
  if (body.length === 0) return words.join(" ");
  // Else curl would say that it is a form.
  if (!typed) words.push("-H", quote("Content-Type:"));
  const bytes = Buffer.from(body);
  const text = bytes.toString("utf8");
  if (isUtf8(bytes) && !controls.test(text)) {
    words.push("--data-raw", quote(text));
    return words.join(" ");
  }
  words.push("--data-binary", "@-");
  return `printf ${quote(octal(bytes))} | ${words.join(" ")}`;
}

/** One word for the shell, whatever is in it but NUL. As typed at a terminal it must be without control characters. */
export function quote(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** As `printf` reads it: what is no plain character by number. */
function octal(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    // Also a minus: at the beginning it would be an option.
    const plain = byte >= 0x20 && byte < 0x7f && !"%\\'-".includes(String.fromCharCode(byte));
    text += plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
  }
  return text;
}
