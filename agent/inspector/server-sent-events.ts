/** An event stream's bytes to its events (HTML standard, section 9.2.6), and the comments between them. */
import { Lines } from "./lines.ts";
import { MOST_TEXT_BYTES, type Said } from "./message-log.ts";

export class ServerSentEvents {
  readonly #lines = new Lines({ mostBytes: MOST_TEXT_BYTES + 16, byCr: true });
  #data: string[] = [];
  #dataLines = 0;
  #dataChars = 0;
  #bytes = 0;
  #cut = false;
  #type = "";
  #id = "";
  #first = true;

  /** Takes bytes, and calls `said` for each event that they complete, and for each comment. */
  read(bytes: Uint8Array, said: (said: Said) => void): void {
    this.#lines.read(bytes, ({ text, bytes: length, cut }) => {
      const line = this.#first && text.startsWith("\ufeff") ? text.slice(1) : text;
      this.#first = false;
      if (line === "") this.#dispatch(said);
      else if (line.startsWith(":")) {
        // No more blanks than one: what is left of a line keeps all of the line in memory.
        said({ kind: "comment", bytes: length, text: line.slice(line[1] === " " ? 2 : 1), cut });
      } else this.#field(line, length, cut);
    });
  }

  #field(line: string, length: number, cut: boolean): void {
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const behind = colon === -1 ? "" : line.slice(colon + 1);
    const value = behind.startsWith(" ") ? behind.slice(1) : behind;
    if (name === "data") {
      const room = MOST_TEXT_BYTES - this.#dataChars;
      this.#bytes += Math.max(0, length - (line.length - value.length));
      this.#cut ||= cut || value.length > room || room <= 0;
      if (room > 0) this.#data.push(value.slice(0, room));
      this.#dataLines++;
      this.#dataChars += value.length + 1;
    } else if (name === "event") this.#type = value.slice(0, 200);
    else if (name === "id" && !value.includes("\0")) this.#id = value.slice(0, 200);
  }

  #dispatch(said: (said: Said) => void): void {
    if (this.#data.length > 0) {
      const label = [this.#type || "message", this.#id === "" ? "" : `#${this.#id}`];
      said({
        kind: "event",
        bytes: this.#bytes + this.#dataLines - 1,
        text: this.#data.join("\n"),
        cut: this.#cut,
        label: label.join(" ").trim(),
      });
    }
    this.#data = [];
    this.#dataLines = 0;
    this.#dataChars = 0;
    this.#bytes = 0;
    this.#cut = false;
    this.#type = "";
  }
}
