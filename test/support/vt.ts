/**
 * A terminal as far as our output uses one: what a person would see after all that was written. Autowrap, scrolling,
 * carriage return, cursor up, erasing, hiding the cursor; colours are dropped. It fails on a sequence that it does not know.
 */
export class Vt {
  columns: number;
  rows: number;
  /** Whether the cursor can be seen. */
  cursor = true;
  /** All lines from the first that was scrolled out. */
  readonly #lines: string[][] = [[]];
  #top = 0;
  #x = 0;
  #y = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  get isTTY(): boolean {
    return true;
  }

  write(text: string): boolean {
    // oxlint-disable-next-line no-control-regex -- what a terminal acts on
    for (const [token] of text.matchAll(/\u001b\[[?\d;]*[A-Za-z]|\u001b.?|[^\u001b]/gu)) {
      if (token.startsWith("\u001b")) this.#sequence(token);
      else this.#character(token);
    }
    return true;
  }

  /** Everything from the first line on, without what is empty at the end. */
  get text(): string {
    return this.#lines
      .map((line) =>
        Array.from(line, (character) => character ?? " ")
          .join("")
          .trimEnd(),
      )
      .join("\n")
      .trimEnd();
  }

  /** What is in the window. */
  get screen(): string {
    return this.text.split("\n").slice(this.#top).join("\n");
  }

  #character(character: string): void {
    switch (character) {
      case "\r":
        this.#x = 0;
        return;
      case "\n":
        this.#x = 0;
        this.#down();
        return;
      default:
        if (this.#x >= this.columns) {
          this.#x = 0;
          this.#down();
        }
        this.#line()[this.#x++] = character;
    }
  }

  #down(): void {
    this.#y++;
    while (this.#lines.length <= this.#y) this.#lines.push([]);
    this.#top = Math.max(this.#top, this.#y - this.rows + 1);
  }

  #line(): string[] {
    return (this.#lines[this.#y] ??= []);
  }

  #sequence(token: string): void {
    const [, parameters = "", final] = /^.\[([?\d;]*)([A-Za-z])$/.exec(token) ?? [];
    switch (final) {
      case "A":
        this.#y = Math.max(this.#top, this.#y - Number(parameters || 1));
        return;
      case "K":
        this.#line().length = Math.min(this.#line().length, this.#x);
        return;
      case "J":
        if (parameters === "2") {
          this.#lines.length = this.#top;
          while (this.#lines.length <= this.#y) this.#lines.push([]);
        } else if (parameters === "3") {
          this.#lines.splice(0, this.#top);
          this.#y -= this.#top;
          this.#top = 0;
        } else {
          this.#line().length = Math.min(this.#line().length, this.#x);
          this.#lines.length = this.#y + 1;
        }
        return;
      case "H":
        this.#x = 0;
        this.#y = this.#top;
        return;
      case "h":
      case "l":
        if (parameters === "?25") this.cursor = final === "h";
        return;
      case "m":
        return;
      default:
        throw new Error(`no terminal of ours knows ${JSON.stringify(token)}`);
    }
  }
}
