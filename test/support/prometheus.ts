/**
 * A reader of Prometheus' text format 0.0.4, written from its description and as strict as a scraper: whatever it does not
 * understand it throws at.
 */

export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ReadFamily {
  readonly help: string;
  readonly type: string;
  readonly samples: readonly ReadSample[];
}

/** By name, in their order. */
export type Scrape = ReadonlyMap<string, ReadFamily>;

const parts: Readonly<Record<string, RegExp>> = { histogram: /_(?:bucket|sum|count)$/ };

export function readMetrics(text: string): Scrape {
  if (!text.endsWith("\n")) throw new Error("the last line is not ended");
  const families = new Map<string, { help: string; type: string; samples: ReadSample[] }>();
  let current = { help: "", type: "", samples: [] as ReadSample[] };
  let told = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const [, word, name = "", rest = ""] =
      /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/s.exec(line) ?? [];
    if (word === "HELP") {
      if (families.has(name)) throw new Error(`${name} is there twice`);
      told = name;
      current = { help: unescaped(rest, /\\(?:\\|n)/), type: "", samples: [] };
      families.set(name, current);
    } else if (word === "TYPE") {
      if (name !== told || current.type !== "") throw new Error(`a TYPE out of place: ${line}`);
      if (!/^(?:counter|gauge|histogram|summary|untyped)$/.test(rest)) throw new Error(line);
      current.type = rest;
    } else {
      const sample = readSample(line);
      const family = sample.name.replace(parts[current.type] ?? /(?!)/, "");
      if (family !== told) throw new Error(`${line} is of no family that was told`);
      current.samples.push(sample);
    }
  }
  for (const [name, { samples }] of families) {
    const keys = samples.map((each) => JSON.stringify([each.name, each.labels]));
    if (new Set(keys).size !== keys.length) throw new Error(`${name} has a sample twice`);
  }
  return families;
}

/** The one sample of that name whose labels are these, or have these among them. */
export function valueOf(
  scrape: Scrape,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const found = [...scrape.values()]
    .flatMap(({ samples }) => samples)
    .filter(
      (each) =>
        each.name === name &&
        Object.entries(labels).every(([label, value]) => each.labels[label] === value),
    );
  const [only] = found;
  if (only === undefined || found.length > 1) {
    throw new Error(`${found.length} samples ${name} ${JSON.stringify(labels)}`);
  }
  return only.value;
}

function readSample(line: string): ReadSample {
  const [, name = "", rest = ""] = /^([a-zA-Z_:][\w:]*)(.*)$/s.exec(line) ?? [];
  if (name === "") throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  let at = 0;
  if (rest.startsWith("{")) {
    const pair = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(,?)/y;
    pair.lastIndex = 1;
    for (let more = rest[1] !== "}"; more;) {
      const [, label = "", value = "", comma] = pair.exec(rest) ?? [];
      if (label === "" || label in labels) throw new Error(`labels: ${line}`);
      labels[label] = unescaped(value, /\\(?:\\|n|")/);
      at = pair.lastIndex;
      more = comma === ",";
    }
    at = Math.max(at, 1);
    if (rest[at] !== "}") throw new Error(`labels without an end: ${line}`);
    at++;
  }
  const [, number = ""] =
    /^ ([+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN)$/.exec(rest.slice(at)) ?? [];
  if (number === "") throw new Error(`no value: ${line}`);
  return { name, labels, value: Number(number.replace("Inf", "Infinity")) };
}

function unescaped(text: string, escape: RegExp): string {
  return text.replaceAll(new RegExp(escape, "g"), (found) =>
    found === "\\n" ? "\n" : found.slice(1),
  );
}
