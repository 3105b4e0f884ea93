/** JSON that a person may see on a terminal: the standard lets control characters of the upper half stand as they are, and some terminals obey them. */

const CONTROLS = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The same JSON as `JSON.stringify` makes, with all that a terminal would act on as `\u009b`. */
export function printableJson(value: unknown): string {
  return printable(JSON.stringify(value));
}

/** JSON with these characters escaped: they can only be in its strings. */
export function printable(json: string): string {
  return json.replaceAll(
    CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
