/**
 * JSON laid out for reading, also when it breaks off or is wrong: then up to where, and what was expected there.
 *
 * Numbers and strings are shown as they were sent, never as JavaScript would read them.
 */

export interface Token {
  readonly kind: "name" | "string" | "number" | "word" | "mark";
  readonly text: string;
}

export interface Pretty {
  /** Tokens by line, each line with its indentation. */
  readonly lines: readonly { readonly indent: number; readonly tokens: readonly Token[] }[];
  /** Where it is no JSON. */
  readonly fault: Fault | undefined;
}

export interface Fault {
  /** Position in the text, and the line and column there, from 1. */
  readonly at: number;
  readonly line: number;
  readonly column: number;
  readonly says: string;
  /** Whether the text just ends: that is no fault where the rest was not kept. */
  readonly ends: boolean;
}

class Broken extends Error {}

// oxlint-disable-next-line no-control-regex -- JSON has none in strings (RFC 8259 section 7)
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const word = /true|false|null/y;
const space = /[ \t\n\r]*/y;

/** Deeper the browser's stack need not go. */
const MOST_DEPTH = 500;

class Layout {
  readonly lines: { indent: number; tokens: Token[] }[] = [{ indent: 0, tokens: [] }];
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): void {
    if (depth > MOST_DEPTH) throw new Broken("it is nested too deeply");
    const next = this.#peek();
    if (next === "{") this.#group("}", depth, () => this.#member(depth + 1));
    else if (next === "[") this.#group("]", depth, () => this.value(depth + 1));
    else if (next === '"') this.#put("string", this.#take(string, "the end of a string"));
    else if (next !== "" && /[-\d]/.test(next)) this.#put("number", this.#take(number, "a number"));
    else this.#put("word", this.#take(word, "a value"));
  }

  end(): void {
    if (this.#peek() !== "") throw new Broken("the end was expected");
  }

  #member(depth: number): void {
    if (this.#peek() !== '"') throw new Broken("a name in quotes was expected");
    this.#put("name", this.#take(string, "the end of a name"));
    if (this.#peek() !== ":") throw new Broken("a colon was expected");
    this.at++;
    this.#put("mark", ": ");
    this.value(depth);
  }

  #group(end: string, depth: number, item: () => void): void {
    this.#put("mark", this.#text.charAt(this.at++));
    if (this.#peek() === end) {
      this.at++;
      this.#put("mark", end);
      return;
    }
    for (;;) {
      this.#line(depth + 1);
      item();
      const next = this.#peek();
      if (next === ",") {
        this.at++;
        this.#put("mark", ",");
      } else if (next === end) {
        this.at++;
        this.#line(depth);
        this.#put("mark", end);
        return;
      } else throw new Broken(`a comma or ${end} was expected`);
    }
  }

  #peek(): string {
    space.lastIndex = this.at;
    space.exec(this.#text);
    this.at = space.lastIndex;
    return this.#text.charAt(this.at);
  }

  #take(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined || found === "") throw new Broken(`${what} was expected`);
    this.at += found.length;
    return found;
  }

  #line(indent: number): void {
    this.lines.push({ indent, tokens: [] });
  }

  #put(kind: Token["kind"], text: string): void {
    this.lines.at(-1)?.tokens.push({ kind, text });
  }
}

export function prettyJson(text: string): Pretty {
  const layout = new Layout(text);
  try {
    layout.value(0);
    layout.end();
    return { lines: layout.lines, fault: undefined };
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    const { at, lines } = layout;
    if (lines.at(-1)?.tokens.length === 0) lines.pop();
    const before = text.slice(0, at).split("\n");
    const rest = text.slice(at);
    // A string that breaks off begins where it begins, not where the text ends.
    const ends =
      rest === "" ||
      /^"(?:[^"\\]|\\.)*\\?$/s.test(rest) ||
      /^(?:t|tr|tru|f|fa|fal|fals|n|nu|nul|-|\.|[eE][+-]?)$/.test(rest);
    const column = (before.at(-1)?.length ?? 0) + 1;
    return { lines, fault: { at, line: before.length, column, says: error.message, ends } };
  }
}
