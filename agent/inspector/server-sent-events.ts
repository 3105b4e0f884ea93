/** An event stream's bytes to its events (HTML standard, section 9.2.6), and the comments between them. */
import { Lines } from "./lines.ts";
import { MOST_TEXT_BYTES, type Said } from "./message-log.ts";
import { beginningOf } from "./text.ts";

const BOM_BYTES = 3;

export class ServerSentEvents {
  readonly #lines = new Lines({ mostBytes: MOST_TEXT_BYTES + 16, byCr: true });
  #data: string[] = [];
  #dataBytes = 0;
  #cut = false;
  #type = "";
  #id = "";
  #first = true;

  /** Takes bytes, and calls `said` for each event that they complete, and for each comment. */
  read(bytes: Uint8Array, said: (said: Said) => void): void {
    this.#lines.read(bytes, ({ text, bytes: length, cut }) => {
      const marked = this.#first && text.startsWith("\ufeff");
      const line = marked ? text.slice(1) : text;
      const bytes = marked ? length - BOM_BYTES : length;
      this.#first = false;
      if (line === "") this.#dispatch(said);
      else if (line.startsWith(":")) {
        // No more blanks than one: what is left of a line keeps all of the line in memory.
        const before = line[1] === " " ? 2 : 1;
        said({ kind: "comment", bytes: bytes - before, text: line.slice(before), cut });
      } else this.#field(line, bytes, cut);
    });
  }

  #field(line: string, length: number, cut: boolean): void {
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const behind = colon === -1 ? "" : line.slice(colon + 1);
    const value = behind.startsWith(" ") ? behind.slice(1) : behind;
    if (name === "data") {
      const room = MOST_TEXT_BYTES - this.#dataBytes;
      // What is before the value is ASCII.
      const bytes = length - (line.length - value.length);
      this.#cut ||= cut || bytes > room || room <= 0;
      if (room > 0) this.#data.push(bytes > room ? beginningOf(value, room) : value);
      // The line feed between two is content.
      this.#dataBytes += bytes + 1;
    } else if (name === "event") this.#type = value.slice(0, 200);
    else if (name === "id" && !value.includes("\0")) this.#id = value.slice(0, 200);
  }

  #dispatch(said: (said: Said) => void): void {
    if (this.#data.length > 0) {
      const label = [this.#type || "message", this.#id === "" ? "" : `#${this.#id}`];
      said({
        kind: "event",
        bytes: this.#dataBytes - 1,
        text: this.#data.join("\n"),
        cut: this.#cut,
        label: label.join(" ").trim(),
      });
    }
    this.#data = [];
    this.#dataBytes = 0;
    this.#cut = false;
    this.#type = "";
  }
}
