/**
 * The filter box: words that must be in the path, and `name:value` for everything else; a minus in front turns one round.
 */
import type { Row } from "../api.ts";

type Test = (row: Row) => boolean;

/** What a row must be to be shown. Whatever is not understood is looked for in the path. */
export function parseFilter(text: string): Test {
  const tests = text
    .trim()
    .split(/\s+/)
    .filter((word) => word !== "" && word !== "-")
    .map(testOf);
  return (row) => tests.every((test) => test(row));
}

function testOf(word: string): Test {
  if (word.startsWith("-")) {
    const test = testOf(word.slice(1));
    return (row) => !test(row);
  }
  const [, name = "", value = ""] = /^([a-z]+):(.*)$/i.exec(word) ?? [];
  const wanted = value.toLowerCase();
  switch (name.toLowerCase()) {
    case "status":
      return statusTest(wanted) ?? inPath(word);
    case "method":
      return ({ method }) => method.toLowerCase() === wanted;
    case "type":
      return ({ type }) => type.includes(wanted);
    case "service":
      return ({ service }) => service.includes(wanted);
    case "id":
      return ({ id }) => String(id) === wanted;
    case "is":
      return isTests[wanted] ?? inPath(word);
    default:
      return inPath(word);
  }
}

function inPath(word: string): Test {
  const wanted = word.toLowerCase();
  return ({ path }) => path.toLowerCase().includes(wanted);
}

const isTests: Readonly<Partial<Record<string, Test>>> = {
  open: ({ phase }) => phase !== "over",
  stream: ({ kind }) => kind !== "body",
  error: ({ says, status }) => says !== "" || status >= 400,
  replay: ({ replayOf }) => replayOf > 0,
  stalled: ({ stalled }) => stalled,
};

/** `404`, `5xx`, `>=400`, `<300`. */
function statusTest(value: string): Test | undefined {
  const family = /^([1-5])xx$/.exec(value)?.[1];
  if (family !== undefined) return ({ status }) => Math.floor(status / 100) === Number(family);
  const [, sign = "", digits] = /^(>=|<=|>|<|=)?(\d{1,3})$/.exec(value) ?? [];
  if (digits === undefined) return undefined;
  const wanted = Number(digits);
  switch (sign) {
    case ">=":
      return ({ status }) => status >= wanted;
    case "<=":
      return ({ status }) => status > 0 && status <= wanted;
    case ">":
      return ({ status }) => status > wanted;
    case "<":
      return ({ status }) => status > 0 && status < wanted;
    default:
      return ({ status }) => status === wanted;
  }
}
