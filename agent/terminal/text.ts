/**
 * Lines as a terminal shows them: spans of styled text that are cut, wrapped and measured before they are painted.
 *
 * What came from a visitor, an origin or a proxy never reaches the terminal as a control sequence.
 */
import { stripVTControlCharacters, styleText } from "node:util";

export type Style = Parameters<typeof styleText>[0];

/** A piece of a line, and how it looks. */
export type Span = readonly [text: string, style?: Style];

/** What is shown on one row of the terminal, if it is wide enough. */
export type Line = readonly Span[];

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

export const plain: Paint = (_style, text) => text;

export const coloured: Paint = (style, text) => styleText(style, text, { validateStream: false });

/** By the rules of `util.styleText`: a terminal, NO_COLOR, FORCE_COLOR, TERM=dumb. */
export function paintFor(stream: NodeJS.WritableStream): Paint {
  return styleText("red", "x", { stream }) === "x" ? plain : coloured;
}

export function paintLine(line: Line, paint: Paint): string {
  let text = "";
  for (const [each, style] of line) text += style === undefined ? each : paint(style, each);
  return text;
}

export function textOf(line: Line): string {
  return paintLine(line, plain);
}

// oxlint-disable-next-line no-control-regex -- that is what it looks for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A text without anything that a terminal would act on: control characters are shown as `\x1b`. */
export function shown(text: string): string {
  return text.replaceAll(CONTROLS, (character) => {
    const code = character.charCodeAt(0);
    return code < 256
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** How many columns a text takes, painted or not: two for what East Asia writes wide and for emoji. */
export function widthOf(text: string): number {
  const bare = stripVTControlCharacters(text);
  // Nearly everything is ASCII.
  // oxlint-disable-next-line no-control-regex -- its range begins there
  if (/^[\u0000-\u007f]*$/.test(bare)) return bare.length;
  let width = 0;
  for (const character of bare) width += columnsOf(character);
  return width;
}

/** Cuts a text to so many columns; what is cut ends with `…`. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return "";
  if (widthOf(text) <= columns) return text;
  let kept = "";
  let width = 0;
  for (const character of text) {
    const more = columnsOf(character);
    if (width + more > columns - 1) break;
    kept += character;
    width += more;
  }
  return `${kept}…`;
}

/** Cuts or fills a text to exactly so many columns. */
export function fill(text: string, columns: number): string {
  const fitted = cut(text, columns);
  return fitted + " ".repeat(Math.max(0, columns - widthOf(fitted)));
}

/** Cuts a line to so many columns. */
export function cutLine(line: Line, columns: number): Line {
  const kept: Span[] = [];
  let left = columns;
  for (const [text, style] of line) {
    if (left <= 0) break;
    const width = widthOf(text);
    const fitted = width > left ? cut(text, left) : text;
    kept.push(style === undefined ? [fitted] : [fitted, style]);
    left -= width;
  }
  return kept;
}

/**
 * Wraps a line between its words so that no row is wider than `columns`; rows after the first begin with `indent`
 * spaces. A word that is wider than a row stays whole: somebody may want to copy it.
 */
export function wrapLine(line: Line, columns: number, indent = 0): Line[] {
  if (!Number.isFinite(columns) || widthOf(textOf(line)) <= columns) return [line];
  const rows: Span[][] = [];
  let row: Span[] = [];
  let width = 0;
  for (const word of wordsOf(line)) {
    const text = textOf(word);
    const first = row.length === 0 || (rows.length > 0 && row.length === 1);
    if (!first && width + widthOf(text.trimEnd()) > columns) {
      rows.push(row);
      row = [[" ".repeat(indent)]];
      width = indent;
    }
    row.push(...word);
    width += widthOf(text);
  }
  rows.push(row);
  return rows;
}

/** Words with the spaces behind them; one may go on from span to span. */
function wordsOf(line: Line): Line[] {
  const words: Span[][] = [];
  let word: Span[] = [];
  for (const [text, style] of line) {
    for (const piece of text.split(/(?<= )(?=[^ ])/)) {
      word.push(style === undefined ? [piece] : [piece, style]);
      if (!piece.endsWith(" ")) continue;
      words.push(word);
      word = [];
    }
  }
  if (word.length > 0) words.push(word);
  return words;
}

const COMBINING = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const EMOJI = /^\p{Emoji_Presentation}$/u;

function columnsOf(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x300) return code < 32 || (code >= 0x7f && code < 0xa0) ? 0 : 1;
  if (COMBINING.test(character)) return 0;
  return isWide(code) || EMOJI.test(character) ? 2 : 1;
}

/** The blocks of Unicode's East Asian Width "W" and "F" that hold letters. */
function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0x303e) ||
    (code >= 0x3041 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}
