/**
 * A QR code of a short text, as ISO/IEC 18004 has it: byte mode, error correction L, the smallest version that holds the
 * text, the mask with the least penalty. Section and table numbers are the standard's.
 *
 * Nothing else of the standard is here: a URL needs no more.
 */

/** Of each version from 1 on at level L: correction bytes of a block, blocks, and data bytes of all blocks (table 9). */
const versions = [
  [7, 1, 19],
  [10, 1, 34],
  [15, 1, 55],
  [20, 1, 80],
  [26, 1, 108],
  [18, 2, 136],
  [20, 2, 156],
  [24, 2, 194],
  [30, 2, 232],
  [18, 4, 274],
  [20, 4, 324],
  [24, 4, 370],
  [26, 4, 428],
] as const;

/** Rows of modules from the top; true is dark. There is no quiet zone around it. */
export type QrCode = readonly (readonly boolean[])[];

/** The code of a text, or undefined when it is longer than 425 bytes. */
export function qrCode(text: string): QrCode | undefined {
  const bytes = new TextEncoder().encode(text);
  const index = versions.findIndex(
    ([, , data], at) => bytes.length + (at + 1 < 10 ? 2 : 3) <= data,
  );
  const layout = versions[index];
  if (layout === undefined) return undefined;
  const version = index + 1;
  const bits = allBits(bytes, version, layout);
  let best: Matrix | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let mask = 0; mask < masks.length; mask++) {
    const matrix = new Matrix(version);
    matrix.drawFunctions(version, mask);
    matrix.drawData(bits, masks[mask] ?? never);
    const penalty = matrix.penalty();
    if (penalty >= least) continue;
    least = penalty;
    best = matrix;
  }
  return best?.dark;
}

/** 7.4 to 7.6: mode, length, text, padding; split into blocks, each with its correction bytes; interleaved. */
function allBits(
  text: Uint8Array,
  version: number,
  [correction, blocks, capacity]: readonly [number, number, number],
): Uint8Array {
  const data = new Uint8Array(capacity);
  const long = version >= 10;
  // Byte mode is 0100: everything sits half a byte off.
  const header = long ? [4, text.length >> 8, text.length & 255] : [4, text.length];
  let half = 0;
  let at = 0;
  for (const byte of [...header.slice(1), ...text]) {
    const before = at === 0 ? 4 : half;
    data[at++] = (before << 4) | (byte >> 4);
    half = byte & 15;
  }
  // The terminator 0000 fills the last half.
  data[at++] = half << 4;
  for (let pad = 0; at < capacity; pad++) data[at++] = pad % 2 === 0 ? 0xec : 0x11;

  const short = Math.floor(capacity / blocks);
  const shortBlocks = blocks - (capacity % blocks);
  const parts: Uint8Array[] = [];
  for (let block = 0, from = 0; block < blocks; block++) {
    const length = short + (block < shortBlocks ? 0 : 1);
    parts.push(data.subarray(from, from + length));
    from += length;
  }
  const corrections = parts.map((part) => remainder(part, correction));
  const all: number[] = [];
  for (let column = 0; column <= short; column++) {
    for (const part of parts) {
      const byte = part[column];
      if (byte !== undefined) all.push(byte);
    }
  }
  for (let column = 0; column < correction; column++) {
    for (const part of corrections) all.push(part[column] ?? 0);
  }
  return Uint8Array.from(all);
}

/** The product in GF(256) with the polynomial 0x11d (7.5.2). */
function times(a: number, b: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) {
    product = (product << 1) ^ ((product >> 7) * 0x11d);
    product ^= ((b >> bit) & 1) * a;
  }
  return product;
}

/** The Reed-Solomon correction bytes of one block. */
function remainder(data: Uint8Array, length: number): Uint8Array {
  const generator = new Uint8Array(length);
  generator[length - 1] = 1;
  for (let power = 0, root = 1; power < length; power++, root = times(root, 2)) {
    for (let at = 0; at < length; at++) {
      generator[at] = times(generator[at] ?? 0, root) ^ (generator[at + 1] ?? 0);
    }
  }
  const rest = new Uint8Array(length);
  for (const byte of data) {
    const factor = byte ^ (rest[0] ?? 0);
    rest.copyWithin(0, 1);
    rest[length - 1] = 0;
    for (let at = 0; at < length; at++)
      rest[at] = (rest[at] ?? 0) ^ times(generator[at] ?? 0, factor);
  }
  return rest;
}

type Mask = (x: number, y: number) => boolean;

/** Table 10. */
const masks: readonly Mask[] = [
  (x, y) => (x + y) % 2 === 0,
  (_x, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

const never: Mask = () => false;

class Matrix {
  readonly dark: boolean[][];
  readonly #size: number;
  /** Modules that are no data. */
  readonly #taken: boolean[][];

  constructor(version: number) {
    this.#size = 17 + 4 * version;
    const blank = (): boolean[][] =>
      Array.from({ length: this.#size }, () => Array.from({ length: this.#size }, () => false));
    this.dark = blank();
    this.#taken = blank();
  }

  /** 6.3: what finds and describes the code. */
  drawFunctions(version: number, mask: number): void {
    const size = this.#size;
    for (let at = 0; at < size; at++) {
      this.#function(6, at, at % 2 === 0);
      this.#function(at, 6, at % 2 === 0);
    }
    const centres = alignmentCentres(version);
    const last = centres.at(-1);
    for (const x of centres) {
      for (const y of centres) {
        const corner = (x === 6 && (y === 6 || y === last)) || (x === last && y === 6);
        if (!corner) this.#rings(x, y, 2);
      }
    }
    for (const [x, y] of [
      [3, 3],
      [size - 4, 3],
      [3, size - 4],
    ] as const) {
      this.#rings(x, y, 4);
    }
    this.#drawFormat(mask);
    if (version >= 7) this.#drawVersion(version);
  }

  /** 7.7.3: two columns wide, up and down, from the right to the left. */
  drawData(bytes: Uint8Array, mask: Mask): void {
    const size = this.#size;
    let at = 0;
    for (let right = size - 1; right >= 1; right -= 2) {
      // The timing pattern has a column of its own.
      if (right === 6) right = 5;
      const upwards = ((right + 1) & 2) === 0;
      for (let step = 0; step < size; step++) {
        const y = upwards ? size - 1 - step : step;
        for (const x of [right, right - 1]) {
          if (this.#taken[y]?.[x] === true) continue;
          const bit = ((bytes[at >> 3] ?? 0) >> (7 - (at & 7))) & 1;
          at++;
          this.#set(x, y, (bit === 1) !== mask(x, y));
        }
      }
    }
  }

  /** 7.8.3: how far from what scanners like. */
  penalty(): number {
    const size = this.#size;
    let penalty = 0;
    let dark = 0;
    for (let a = 0; a < size; a++) {
      const row = this.dark[a] ?? [];
      const column = this.dark.map((each) => each[a] ?? false);
      penalty += runs(row) + runs(column) + finders(row) + finders(column);
      for (let b = 0; b < size; b++) {
        if (row[b] === true) dark++;
        if (a === 0 || b === 0) continue;
        const above = this.dark[a - 1];
        if (row[b] === row[b - 1] && row[b] === above?.[b] && row[b] === above?.[b - 1]) {
          penalty += 3;
        }
      }
    }
    const share = (dark * 100) / (size * size);
    return penalty + Math.floor(Math.abs(share - 50) / 5) * 10;
  }

  #set(x: number, y: number, dark: boolean): void {
    const row = this.dark[y];
    if (row !== undefined) row[x] = dark;
  }

  #function(x: number, y: number, dark: boolean): void {
    const taken = this.#taken[y];
    if (taken === undefined || x < 0 || x >= this.#size) return;
    taken[x] = true;
    this.#set(x, y, dark);
  }

  /** Squares around a centre, every other ring light; the outermost of a finder is its separator. */
  #rings(x: number, y: number, radius: number): void {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) {
        const ring = Math.max(Math.abs(dx), Math.abs(dy));
        const dark = radius === 4 ? ring !== 2 && ring !== 4 : ring !== 1;
        this.#function(x + dx, y + dy, dark);
      }
    }
  }

  /** 7.9: level L and the mask, 15 bits, twice. */
  #drawFormat(mask: number): void {
    const size = this.#size;
    const data = (0b01 << 3) | mask;
    const bits = ((data << 10) | bch(data, 10, 0x537)) ^ 0x5412;
    const bit = (at: number): boolean => ((bits >> at) & 1) === 1;
    for (let at = 0; at < 15; at++) {
      const along = at < 6 ? at : at < 8 ? at + 1 : size - 15 + at;
      this.#function(8, along, bit(at));
      const across = at < 8 ? size - 1 - at : at === 8 ? 7 : 14 - at;
      this.#function(across, 8, bit(at));
    }
    this.#function(8, size - 8, true);
  }

  /** 7.10: the version, 18 bits, twice. */
  #drawVersion(version: number): void {
    const bits = (version << 12) | bch(version, 12, 0x1f25);
    for (let at = 0; at < 18; at++) {
      const dark = ((bits >> at) & 1) === 1;
      const [a, b] = [this.#size - 11 + (at % 3), Math.floor(at / 3)];
      this.#function(a, b, dark);
      this.#function(b, a, dark);
    }
  }
}

/** Annex C and D: the check bits of a BCH code. */
function bch(data: number, length: number, generator: number): number {
  let rest = data;
  for (let step = 0; step < length; step++)
    rest = (rest << 1) ^ ((rest >> (length - 1)) * generator);
  return rest;
}

/** Annex E, for the versions that we have. */
function alignmentCentres(version: number): readonly number[] {
  if (version === 1) return [];
  const last = 10 + 4 * version;
  return version < 7 ? [6, last] : [6, (6 + last) / 2, last];
}

/** Five and more of one kind in a row. */
function runs(line: readonly boolean[]): number {
  let penalty = 0;
  let length = 0;
  for (const [at, dark] of line.entries()) {
    length = at > 0 && dark === line[at - 1] ? length + 1 : 1;
    if (length === 5) penalty += 3;
    else if (length > 5) penalty++;
  }
  return penalty;
}

const finder = "1011101";

/** What looks like a finder with four light modules on one side. */
function finders(line: readonly boolean[]): number {
  const text = line.map((dark) => (dark ? "1" : "0")).join("");
  let penalty = 0;
  for (let at = text.indexOf(finder); at !== -1; at = text.indexOf(finder, at + 1)) {
    const before = text.slice(Math.max(0, at - 4), at);
    const behind = text.slice(at + 7, at + 11);
    if (before === "0000") penalty += 40;
    if (behind === "0000") penalty += 40;
  }
  return penalty;
}

/** How many light modules are around a code; scanners manage with two on a terminal. */
const QUIET = 2;

/**
 * The code in half blocks, two rows of modules in one of text, with light around it. `drawn` are the modules that have ink:
 * the dark ones where the text is painted black on white, the light ones on a terminal that is dark as most are.
 */
export function qrLines(code: QrCode, drawn: "dark" | "light"): string[] {
  const size = code.length;
  const ink = (x: number, y: number): boolean => {
    const dark = code[y]?.[x] ?? false;
    return drawn === "dark" ? dark : !dark;
  };
  const lines: string[] = [];
  for (let y = -QUIET; y < size + QUIET; y += 2) {
    let line = "";
    for (let x = -QUIET; x < size + QUIET; x++) {
      const [upper, lower] = [ink(x, y), ink(x, y + 1)];
      line += upper ? (lower ? "█" : "▀") : lower ? "▄" : " ";
    }
    lines.push(line);
  }
  return lines;
}
