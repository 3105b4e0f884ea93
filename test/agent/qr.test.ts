/** QR codes that scanners read: the same modules as another encoder makes, and read back by another program. */
import { createHash } from "node:crypto";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type QrCode, qrCode, qrLines } from "../../agent/terminal/qr.ts";

function rows(code: QrCode | undefined): string[] {
  return (code ?? []).map((row) => row.map((dark) => (dark ? "1" : "0")).join(""));
}

test("a short text is the code that python-qrcode 8 makes, module by module", () => {
  expect(rows(qrCode("https://a.test/"))).toEqual([
    "111111101010101111111",
    "100000100011001000001",
    "101110101101101011101",
    "101110101101001011101",
    "101110101001101011101",
    "100000100110001000001",
    "111111101010101111111",
    "000000000001000000000",
    "111100101111010011101",
    "010011011001011111111",
    "010110111000010001011",
    "011111000111100101010",
    "100101111000101011001",
    "000000001100101010000",
    "111111100011000010000",
    "100000100001100111111",
    "101110100110000010110",
    "101110101100101100010",
    "101110101101101100100",
    "100000101111011110001",
    "111111101001001011100",
  ]);
});

/** SHA-256 of the rows of python-qrcode 8 (level L, byte mode, the same mask), joined by newlines. */
test.each([
  [17, 1, "a405ac79542b80e1a993c804836f961c16f30b69d2e6a9b83f1a3c8eda285fd7"],
  [32, 2, "fbe01665114288a24c0ea5f214e0d922b6a65f50d6edb8a802ac947da785c868"],
  [53, 3, "e6bdec2ab555db45cb6d8fddb924705b7721b20e29b8f06a7aa37c7831454fa8"],
  [78, 4, "705c2d6531bcf703e02933245abf4f6dc49ad0cfff5b0abec32693c07cfbd91c"],
  [106, 5, "5ff9b3d6a089f9be74a45623b75618953dd97f07970d92783eeab5e8b530eeb0"],
  [134, 6, "450bef850d19cb4e65c2499cc2ba01a9ede72cbebaf1322f1867887dc1015423"],
  [154, 7, "96cfa5c73fdc6b88509a8b89ea8aea6ef15b8b378885ed6a6c6d4ad7d5d242f6"],
  [192, 8, "9ebdeb105dee1f381dbb86567a1f6f4bdda236c820c5f6a01c6ac35facc3d4e5"],
  [230, 9, "b66f28759a4c2fcea052208cf37a176987ee0cc17b12a9a5420594825c333e21"],
  [271, 10, "263b0e45cdf1a7e93cbd5c6f58c43638430c18eaaed4f3a4b55523df9ce8f832"],
  [321, 11, "c49361f7676acdde88b8b352b2ace0ae97bc842e63b980a3dc8371d25775d397"],
  [367, 12, "311bca2c472033ca17f6e9c1b9d9cc658e63160907e83f3f65ebbd6f0bb03cd0"],
  [425, 13, "67108e0314f525d174cf47b691e45df33c95ee27ff8eb07831cab52b1f5f32f9"],
] as [number, number, string][])(
  "a text of %i bytes is the code of version %i that python-qrcode makes",
  (bytes, version, hash) => {
    const code = rows(qrCode("https://edge.example/send/shop/".repeat(20).slice(0, bytes)));
    expect(code).toHaveLength(17 + 4 * version);
    expect(createHash("sha256").update(code.join("\n")).digest("hex")).toBe(hash);
  },
);

test("a text of 425 bytes has a code, a longer one has none", () => {
  expect(qrCode("x".repeat(425))).toHaveLength(69);
  expect(qrCode("x".repeat(426))).toBeUndefined();
});

test("two rows are one line of text, with light around them, whichever modules are drawn", () => {
  const code = qrCode("https://a.test/") ?? [];
  const lines = qrLines(code, "dark");
  expect(new Set(lines.map((line) => line.length))).toEqual(new Set([code.length + 4]));
  expect(lines[0]?.trim()).toBe("");
  expect(lines[1]).toMatch(/^ {2}█▀▀▀▀▀█ .* █▀▀▀▀▀█ {2}$/);
  const swapped: Record<string, string> = { " ": "█", "█": " ", "▀": "▄", "▄": "▀" };
  const inverse = lines.map((line) => Array.from(line, (each) => swapped[each]).join(""));
  expect(qrLines(code, "light")).toEqual(inverse);
});

const reader = spawnSync("zbarimg", ["--version"]).error === undefined;

test.skipIf(!reader).each([17, 43, 106, 200, 321])(
  "zbarimg reads a URL of %i bytes back",
  (bytes) => {
    const text = "https://edge.example/send/shop/".repeat(20).slice(0, bytes);
    const directory = mkdtempSync(join(tmpdir(), "sluice-test-"));
    try {
      const file = join(directory, "code.pgm");
      writeFileSync(file, picture(qrCode(text) ?? []));
      const said = execFileSync("zbarimg", ["--raw", "-q", file], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      expect(said.trimEnd()).toBe(text);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
);

/** A grey picture, six pixels a module, with a quiet zone of four modules. */
function picture(code: QrCode): string {
  const size = code.length + 8;
  const pixels: string[] = [];
  for (let y = 0; y < size * 6; y++) {
    const row: string[] = [];
    for (let x = 0; x < size * 6; x++) {
      row.push(code[Math.floor(y / 6) - 4]?.[Math.floor(x / 6) - 4] === true ? "0" : "255");
    }
    pixels.push(row.join(" "));
  }
  return `P2\n${size * 6} ${size * 6}\n255\n${pixels.join("\n")}\n`;
}
